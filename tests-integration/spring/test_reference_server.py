"""A real Spring Cloud Config server and ours on the same files, compared answer by answer.

What differs on purpose is in `DELIBERATE` and in docs/explanation/compatibility.md.
"""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.external

V2 = "application/vnd.spring-cloud.config-server.v2+json"
FILES = {
    "application.yml": "company: {name: Example, support: help@example.com}\n"
    "logging: {level: {root: INFO}}\nhosts: [a, b, c]\n",
    "application-prod.yml": "logging.level.root: WARN\nhosts: [p]\n",
    "application-eu.yml": "region: eu\nhosts: [e1, e2]\n",
    "orders.yml": "db: {url: 'jdbc:x', pool: {size: 10}}\n"
    "greeting: 'Hello ${company.name} ${missing:nobody} ${missing}'\n"
    "escaped: '\\${company.name}'\n",
    "orders-prod.yml": "db: {pool: {size: 50, timeout: 30s}}\nratio: 1.0\n"
    "big: 123456789012345678901234567890\n",
    "orders-eu.yml": "db.url: jdbc:eu\nnested: [{a: 1, b: [x, y]}, {c: ~}]\n",
    "billing.properties": "a.b=1\nlist[0]=x\nlist[1]=y\nuni=\\u00e9\nflag=true\nlong=a\\\n  b\n",
    "billing-prod.properties": "a.b=2\n#---\nspring.config.activate.on-profile=prod\na.c : 3\n",
    "multi.yml": "server: {port: 8080}\n---\nspring.config.activate.on-profile: prod\n"
    "server: {port: 80}\n---\nspring.config.activate.on-profile: 'prod & !eu'\nregion: other\n"
    "---\n\n---\nlast: 1\n",
    "types.yml": "int: 8080\noct: 010\nexp: 1e3\nflt: 1.0\ntime: 12:30\nbool: yes\nq: 'true'\n"
    "date: 2001-12-14\nnul: null\nelist: []\nemap: {}\nhex: 0x1F\nunder: 1_000\n"
    "list: [a, {b: 1}, [x, y], null]\n'dotted.key': v\npaths: {'[/p/**]': w, /q: w3}\n"
    "m: {1: one, off: y}\non: z\nsmall: 1.0e-5\nlarge: 1.0e20\nneg: -5\nplus: +7\n",
    "texts.yml": "str: 'a: b'\nhash: 'x # y'\nmulti: |\n  one\n  two\nfolded: >\n  three\n  four\n"
    "uml: Grüße\nempty: ''\nquote: \"it's\"\nstar: '*a'\nyesq: 'yes'\ntilde: '~'\ndash: '-'\n"
    f"tab: \"a\\tb\"\nlong: '{'word ' * 20}word'\nlead: ' x'\ncolon: 'x:'\nbrace: '{{x}}'\n"
    "date: '2001-12-14'\noctal: '010'\nsexagesimal: '1:30'\nn: 'n'\n",
    "infinite.yml": "inf: .inf\n",
    "deep.yml": "a: {b: {c: {d: [1, [2, 3], {e: [4]}]}}}\norg.x: W\norg.x.y: E\n"
    "'a.b[hello]': c\nx.y.z: 1\n",
    "deep-prod.yml": "a: {b: {c: {d: [9]}}}\n",
    "circular.yml": "a: '${b}'\nb: '${a}'\n",
    "listdoc.yml": "- c\n- d\n",
    "scalardoc.yml": "just text\n",
    "chain.yml": "a: '${b}'\nb: '${c:${d}}'\nd: 5\nport: 8080\nurl: 'http://h:${port}/'\n"
    "only: '${port}'\nflag: false\nopen: '${port ${port}'\nindirect: '${${name}}'\nname: port\n",
    "broken.yml": "a: [\n",
    "twice.yml": "a: 1\na: 2\n",
    "nginx.conf": "server_name ${company.name};\nlisten ${port:80};\nraw \\${x} ${none}\n",
    "nginx-prod.conf": "prod ${logging.level.root}\n",
    "conf/d/x.txt": "nested ${company.name}\n",
}
APPLICATIONS = [
    *dict.fromkeys(name.split(".")[0].split("-")[0] for name in FILES if "/" not in name),
    "nobody",
    "orders,billing",
]
PROFILES = ["default", "prod", "eu", "prod,eu", "eu,prod"]
ACCEPTS = [None, "application/octet-stream", "text/plain", "text/html,*/*;q=0.8", "text/css"]
ODD = [
    *("/orders", "/orders/prod/", "/orders/dev.yml", "/main/orders.yml", "/orders/a,,b"),
    *("/orders/a,", "/orders/-a", "/orders/a!", "/orders/dev-yml", "/a-b.yml.yml"),
    *("/orders-prod.json?resolvePlaceholders=maybe", "/orders%23/prod", "/orders/default/ma%23in"),
]
DELIBERATE = {
    r"/infinite-.*\.yml": "an infinity is the text that the document has",
}

Request = tuple[str, str | None]


def requests() -> list[Request]:
    listed: list[Request] = []
    for application, profiles in itertools.product(APPLICATIONS, PROFILES):
        listed += [(f"/{application}/{profiles}", accept) for accept in (None, V2)]
        for extension in ("json", "yml", "properties"):
            listed.append((f"/{application}-{profiles}.{extension}", None))
        listed.append((f"/{application}-{profiles}.json?resolvePlaceholders=false", None))
    for name, profiles, accept in itertools.product(
        ("nginx.conf", "conf/d/x.txt", "logo.bin", "none.txt"), ("default", "prod", "x"), ACCEPTS
    ):
        listed.append((f"/orders/{profiles}/main/{name}", accept))
    listed += [(path, None) for path in ODD]
    listed += [("/orders/default/nginx.conf?useDefaultLabel", None), ("/orders/prod", "text/plain")]
    listed += [("/orders/prod", "application/*+json"), ("/orders-prod.json", "text/plain")]
    return listed


@pytest.fixture(scope="module")
def both(
    jar: Callable[..., Path],
    run_jar: Callable[..., str],
    start_server: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, str, Path]:
    """Return the addresses of the reference and of ours, and the directory that both serve."""
    root = tmp_path_factory.mktemp("repository")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    (root / "logo.bin").write_bytes(bytes(range(256)))
    native = "--spring.cloud.config.server.native."
    theirs = run_jar(
        jar("reference-server"),
        "--spring.profiles.active=native",
        f"{native}search-locations=file:{root}",
        f"{native}default-label=main",
        path="/orders/default",
    )
    ours = start_server(f"{root.as_uri()}?layout=flat", "--base-path", "")
    return theirs, ours.url, root


def named(name: str, root: Path) -> str:
    """Return the name of a property source as the file and the number of its document."""
    found = re.fullmatch(rf".*file \[{root}/(.*)\]' via location '.*' (\(document #\d+\))", name)
    if found is not None:
        return f"{found[1]} {found[2]}"
    return name.removeprefix(f"file:{root}/").removeprefix("main/")


def told(answer: httpx.Response, root: Path) -> Any:
    """Return what a client may rely on of an answer; of an error that is its status."""
    if answer.status_code != 200:
        return answer.status_code
    media_type = answer.headers["content-type"].split(";")[0]
    if not media_type.endswith("json"):
        return media_type, answer.content
    document = answer.json()
    for source in document.get("propertySources", ()) if isinstance(document, dict) else ():
        source["name"] = named(source["name"], root)
    return media_type, json.dumps(document)  # the order of keys and 1 or 1.0 count


def is_deliberate(path: str) -> bool:
    return any(re.fullmatch(pattern, path) for pattern in DELIBERATE)


def test_every_answer_is_that_of_the_reference(both: tuple[str, str, Path]) -> None:
    theirs, ours, root = both
    asked = requests()
    assert len(asked) >= 150
    differing: list[str] = []
    with httpx.Client(base_url=theirs) as reference, httpx.Client(base_url=ours) as own:
        for path, accept in asked:
            headers = {} if accept is None else {"Accept": accept}
            expected = told(reference.get(path, headers=headers), root)
            found = told(own.get(path, headers=headers), root)
            if (found == expected) is is_deliberate(path):
                differing.append(f"{path} {accept}: {expected!r} here {found!r}")
    assert differing == []
