// Opens pages in Chromium and prints what is wrong with them, as JSON; started by site.py.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const task = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(`${task.modules}/`);
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const problems = [];
const browser = await puppeteer.launch({
  executablePath: task.browser,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
try {
  for (const width of [1280, 390]) {
    for (const scheme of ["light", "dark"]) {
      for (const path of task.pages) await look(path, width, scheme);
    }
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(problems));

async function look(path, width, scheme) {
  const place = `${path} (${width}, ${scheme})`;
  const page = await browser.newPage();
  page.setDefaultTimeout(180_000);
  await page.setBypassCSP(true);
  await page.setViewport({ width, height: width > 600 ? 900 : 844 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(task.address) && !/^(data|blob):/.test(url)) {
      problems.push(`${place}: asks for ${url}`);
    }
  });
  await page.goto(task.address + path, { waitUntil: "load", timeout: 180_000 });
  await page.evaluate(axe);
  const result = await page.evaluate(() => window.axe.run());
  for (const one of result.violations) {
    if (!["serious", "critical"].includes(one.impact)) continue;
    const nodes = one.nodes.slice(0, 3).map((node) => node.target.join(" "));
    problems.push(`${place}: ${one.impact}: ${one.help} (${one.nodes.length}): ${nodes.join("; ")}`);
  }
  const excess = await page.evaluate(
    () => document.documentElement.scrollWidth - window.innerWidth,
  );
  if (excess > 0) problems.push(`${place}: ${excess} pixels wider than the window`);
  if (task.screenshots) {
    const name = `${path.replace(/[/.]/g, "-")}-${width}-${scheme}.png`;
    await page.screenshot({ path: `${task.screenshots}/${name}` });
  }
  await page.close();
}
