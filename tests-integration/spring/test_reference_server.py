"""A real Spring Cloud Config server and ours on the same files, compared answer by answer.

What differs on purpose is in `DELIBERATE` and in docs/explanation/compatibility.md.
"""

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pyfly.config_server import EncryptionKeys, KeyStoreFile, open_keys
from reference_answers import told

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
    "escapes.txt": "\\${company.name} \\\\${company.name} ${a:\\${b}} ${open\n",
    "loop.txt": "${a}\n",
    "page": "no extension ${company.name}\n",
    "page-prod": "prod\n",
    "conf/two.dots.txt": "two\n",
    "conf/two.dots-prod.txt": "two prod\n",
}
ACTIVATE = "---\nspring.config.activate.on-profile: "
DOCUMENTS = {
    "acts.yml": f"base: 1\n{ACTIVATE}prod\nwho: prod\n{ACTIVATE}eu\nwho: eu\n"
    f"{ACTIVATE}'!prod'\nnot: 1\n{ACTIVATE}'prod, eu'\ncomma: 1\n{ACTIVATE}default\nd: 1\n"
    f"{ACTIVATE}'(prod | eu) & !x'\nparens: 1\n{ACTIVATE}'!!prod'\ntwice: 1\n",
    "acts-prod.yml": f"p: 1\n{ACTIVATE}eu\nq: 1\n{ACTIVATE}'!eu'\nq: 2\n",
    "lists.yml": f"a: 1\n{ACTIVATE}[x, 'prod & eu']\nb: 1\n{ACTIVATE}['prod,eu', x]\nc: 1\n",
    "both.yml": f"a: 1\n{ACTIVATE}prod\nb: 1\n{ACTIVATE}[eu]\nc: 1\n",
    "spelt.yml": "a: 1\n---\nSPRING.CONFIG.ACTIVATE.ON-PROFILE: prod\nb: 1\n"
    "---\nspring.config.activate.on_profile: eu\nc: 1\n"
    "---\nspring: {config: {activate: {onprofile: prod}}}\nd: 1\n"
    "---\nSpring.Config.activate.ON-PROFILE: [prod, eu]\ne: 1\n",
    "none.yml": f"a: 1\n{ACTIVATE}\nb: 1\n{ACTIVATE}[]\nc: 1\n{ACTIVATE}''\nd: 1\n",
    "wrong.yml": f"a: 1\n{ACTIVATE}'a & b | c'\nb: 1\n",
    "words.yml": f"a: 1\n{ACTIVATE}'a b'\nb: 1\n",
    "comma.yml": f"a: 1\n{ACTIVATE}'prod,'\nb: 1\n",
    "blank.yml": f"a: 1\n{ACTIVATE}' '\nb: 1\n",
    "half.yml": f"a: 1\n{ACTIVATE}['', prod]\nb: 1\n",
    "unclosed.yml": f"a: 1\n{ACTIVATE}'(a'\nb: 1\n",
    "asked.yml": f"p: prod\n{ACTIVATE}'${{p}}'\nb: 1\n",
    "cloud.yml": "a: 1\n---\nspring.config.activate.on-cloud-platform: kubernetes\nb: 1\n",
    "nocloud.yml": "a: 1\n---\nspring.config.activate.on-cloud-platform: none\nb: 1\n",
    "include.yml": "spring.profiles.include: [eu]\na: 1\n",
    "dashes.yml": "---\n---\na: 1\n---\n# c\n---\nb: 2\n...\n",
    "ended.yml": "a: 1\n...\n---\nb: 2\n",
    "parts.properties": "#---\na=1\n#---\nspring.config.activate.on-profile=prod\nb=2\n"
    "!---  \nspring.config.activate.on-profile=eu | prod\nb:3\n#---\n#---\nlast=1\n",
    "joined.properties": "a=1\n#---\n# c\nb=2\n  #---\nc=3\n# d\n#---\ne=1\n#----\nf=1\n",
    "marks.properties": "a=1\n! x\n#---\nb=2\n# x\n\n#---\nc=3\n#---\n\n# x\nd=4\\\n#---\n",
    "crs.properties": "a=1\r\n#---\r\nb=2\r\n",
}
VALUES = {
    "props.properties": "a.b = 1\na\\ c=2\nf\\=g=h\nu=\\u00fc\\t|\ncont=a,\\\n   b,\\\n   c\n! c\n"
    "list=a,b\nl[0].x=1\nl[0].y=2\nl[2]=z\nm[k.v]=1\nsp  =  v  \nk:v\nkk v v\ne=\nempty\n=x\n",
    "keys.yml": "'a b': 1\n'c.d': 2\n'[e]': 3\ng[h]: 4\ni: {'[j.k]': 5}\n'l:m': 7\nN_O: 9\n"
    "'${x}': 10\nx: y\n'${x}.z': 1\n'p${x:q}': r\nÜml ü: ö\n'q\"q': 1\n",
    "odd.yml": "'a[': 1\n'b]': 2\n'f[1': 6\n'i[01]': 9\n'k. l': 1\n",
    "nameless.yml": "'': 1\na: {'': 2}\n",
    "dots.yml": "'a..b': 1\n",
    "first.yml": "'.a': 1\n",
    "behind.yml": "'a[0]b': 1\n",
    "within.yml": "'a.[0]': 1\n",
    "places.yml": "a: ${b:${c:${d:deep}}}\ne: ${x:y:z}\nf: ${}\ng: ${:x}\nh: '${ b2 }'\nj: ${a\n"
    "k: $${b2}\nb2: v\nl: ${b2}${b2}\nn: '\\${b2:x}'\no: ${list[0]}\np: ${list}\nlist: [x, y]\n"
    "q: ${r.s}\nr: {s: 1.0}\nt: ${u}\nu: true\nw: ${missing:}\nv: '#{x}'\nz: '{b2}'\n"
    "ab: '${b2:}}'\nac: '${b2}}'\nad: '${un${b2}}'\nunv: nested\nae: \"${b2}\\n${ b2 }\"\n",
    "itself.yml": "a: x${a}\n",
    "around.yml": "a: ${b:${a}}\nc: ${c:d}\n",
    "anchors.yml": "base: &b {x: 1, y: [1, 2]}\nuse: {<<: *b, x: 2}\nlist: [*b, *b]\n"
    "<<: {top: 1}\n",
    "nums.yml": "a: 1.0e3\nb: 1e21\nc: 1.5\ne: 0.001\nf: 0.0001\ng: 12345678.9\nh: -0.0\ni: 1e-7\n"
    "j: 3.4028235e38\nk: 9007199254740993\nl: -9223372036854775809\no: 1234567.0\np: 10000000.0\n",
    "quotes.yml": "a: 'on'\nb: '1.0'\nc: ' '\nd: \"a\\nb\"\ne: \"\\n\"\nf: \"a\\n\\nb\\n\\n\"\n"
    "g: '#b'\n"
    "h: '[a'\ni: 'a]'\nj: '%a'\nk: \"it's: 'x'\"\nl: '='\nm: '<<'\nn: '? x'\no: '---'\np: 'No'\n"
    'q: "\\ttab"\nr: "a\\u00a0b"\ns: "one\\n  two\\nthree"\nt: " lead\\nnext"\nu: \'0b1\'\n'
    "v: '1:30:00'\nw: '\"'\nx: '\\'\ny: '2001-12-14t21:59:43.10-05:00'\nz: 'say \"x\"'\n",
    "numbers.yml": "1: a\n2.5: b\ntrue: c\nm: {1: x, 2.5: y, no: z, 010: o, 2001-01-01: d}\n",
    "empties.yml": "a: {}\nb: []\nc: {d: {}}\ne: [{}, 1]\nf: [[], [1]]\ng: ''\nh:\n",
    "bom.yml": "\ufeffa: 1\r\nb: |\r\n  x\r\n  y\r\n",
    "kinds.yml": "a: {b: 1}\n",
    "kinds-prod.yml": "a: [1]\n",
    "forms.yml": "a: 1\nb: [1]\nc: {d: 1}\n",
    "forms-prod.yml": "a: {b: 2}\nc: 4\n",
    "single.yml": "a: [1]\n",
    "single-prod.yml": "a: 3\n",
    "void.yml": "# only a comment\n",
    "latin.properties": "a=ü\n",
    "inlist.yml": "l: [{1: x}]\n",
    "nullkey.yml": "a: {~: x}\n",
    "tab.yml": "a:\t1\n",
    "json.json": '{"k": [1, null]}',
    "binary.yml": "a: !!binary aGVsbG8=\n",
    "set.yml": "a: !!set {x, y}\n",
    "omap.yml": "a: !!omap [x: 1, y: 2]\n",
    "timestamp.yml": "a: !!timestamp 2001-12-14\n",
    "listkey.yml": "? [1, b]\n: v\n",
    "mapkey.yml": "? {a: 1}\n: v\n",
    "towers.yml": "a.b: 1\na.b.c: 2\na.b.c.d: 3\n",
}
APPLICATIONS = [
    *dict.fromkeys(name.split(".")[0].split("-")[0] for name in FILES if "/" not in name),
    "nobody",
    "orders,billing",
]
MORE = [
    *itertools.product(
        dict.fromkeys(re.split(r"\.|-", one)[0] for one in DOCUMENTS),
        ["default", "prod", "prod,eu"],
    ),
    *((re.split(r"\.|-", one)[0], "prod") for one in VALUES if "-" not in one),
]
PROFILES = ["default", "prod", "eu", "prod,eu", "eu,prod"]
ACCEPTS = [None, "application/octet-stream", "text/plain", "text/html,*/*;q=0.8", "text/css"]
OF_FILES = [
    *("*/*, application/octet-stream;q=0.1", "text/plain,application/*", "application/xml"),
    *("image/png", "text/*"),
]
OF_DOCUMENTS = [
    *("application/*", "*/*;q=0.1", "application/json;charset=utf-8", "application/*+json"),
    *(f"application/json;q=0.5,{V2}", f"{V2},application/json", f"application/json,{V2}"),
    *("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "", "text/*"),
]
ODD = [
    *("/orders", "/orders/prod/", "/orders/dev.yml", "/main/orders.yml", "/orders/a,,b"),
    *("/orders/a,", "/orders/-a", "/orders/a!", "/orders/dev-yml", "/a-b.yml.yml"),
    *("/orders-prod.json?resolvePlaceholders=maybe", "/orders%23/prod", "/orders/default/ma%23in"),
    *(f"/orders-prod.json?resolvePlaceholders={word}" for word in ("", "FALSE", "off", "1", "2")),
    *("/orders-prod.json?resolvePlaceholders=off&resolvePlaceholders=on", "/orders-prod.json?a=b"),
    *("/main/orders-prod.json", "/main/orders-prod,eu.properties", "/orders-a,,b.json"),
    *("/orders-prod.xml", "/orders-prod.JSON", "/orders-prod.json/", "/a-b-c-prod.json"),
    *("/orders/prod?resolvePlaceholders=maybe", "/orders%2Cbilling/prod%2Ceu", "/Orders/PROD"),
    *("/orders/default/main/nginx.conf?resolvePlaceholders=no", "/orders/default/main/page"),
    *("/orders/default/main/nginx.conf?resolvePlaceholders=maybe", "/orders/prod/main/page"),
    *("/orders/default/main/nginx.conf?useDefaultLabel", "/orders/prod/main/conf/two.dots.txt"),
    *("/orders/prod,eu/main/nginx.conf", "/orders/default/main/escapes.txt"),
    *("/broken/default/main/nginx.conf", "/orders/default/main/conf", "/orders/default/main/conf/"),
    *("/orders/default/main/nginx%2Econf", "/orders/default/main/nginx-prod.conf"),
    *("/application,orders/prod", "/orders,application/prod", "/orders,orders/prod,prod"),
    *("/orders/default,prod", "/orders/prod,default", "/nobody/x.y", "/nobody/a@b", "/nobody/_a"),
    *(
        "/nobody/a+b",
        "/nobody/a_",
        "/nobody/a.",
        "/nobody/a%2520",
        "//orders/prod",
        "/orders//prod",
    ),
    *("/or(_)ders/prod", "/orders/prod/(_)x", "/orders/prod/a..b", "/orders/%2e/x"),
    *("/orders/prod/nolabel", "/-x.yml", "/orders-.yml", "/a%20b/x", "/nobody/%C3%BC"),
    *("/circular/default/main/loop.txt", "/places/default/main/loop.txt"),
]
METHODS = ["HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"]
OF_METHODS = [
    *("/orders/prod", "/orders/prod/main", "/orders-prod.json", "/main/orders-prod.yml"),
    *("/orders/prod/main/nginx.conf", "/orders/prod/main/gone.txt", "/orders", "/broken/default"),
]
DELIBERATE = {
    r"/infinite-.*\.yml": "an infinity is the text that the document has",
    r"/(both-prod,eu|single-prod)\..*": "the higher of a single value and a list wins",
    r"/kinds-prod\.(json|yml)": "a mapping and a list have no tree: 400 instead of 500",
    r"/(circular|itself)/.*\.txt": "a placeholder that leads back to itself: 400 instead of 500",
    r"/unclosed.*": "a profile expression with an open parenthesis is malformed",
    r"/asked[/-]prod.*": "a profile expression is not resolved",
    r"/nocloud.*": "a document for a cloud platform is for none",
    r"/include[/-]prod([. ].*)?": "included profiles are left to the client",
    r"/(props/|parts/prod).* .*v2.*": "where a value of .properties begins, after an escape",
    r"/nameless-.*\.yml": "an empty name is written without a question mark",
    r"/void/.*": "a file without content is a source without properties",
    r"/latin.*": ".properties may be UTF-8",
    r"/inlist.*": "a number is a name in lists too",
    r"/nullkey.*": "null is no name",
    r"/tab.*": "a tab after a colon is a blank",
    r"/(binary|set|omap|timestamp)[/-].*": "tags are those of the types that JSON has",
    r"/(list|map)key[/-].*": "a list or a mapping is no name",
    r"/towers-.*\.(json|yml)": "a key stands below what it begins with",
    "/orders/prod/nolabel": "an unknown label",
    "/-x.yml|/orders-.yml": "a name or a profile is missing",
    "/a%20b/x|/nobody/%C3%BC": "names with other characters",
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
    for application, profiles in MORE:
        listed += [(f"/{application}/{profiles}", accept) for accept in (None, V2)]
        listed += [
            (f"/{application}-{profiles}.{extension}", None)
            for extension in ("json", "yml", "properties")
        ]
    listed += [("/orders/prod/main/nginx.conf", accept) for accept in OF_FILES]
    listed += [("/orders/prod", accept) for accept in OF_DOCUMENTS]
    listed += [(path, None) for path in ODD]
    listed += [("/orders/default/nginx.conf?useDefaultLabel", None), ("/orders/prod", "text/plain")]
    listed += [("/orders/prod", "application/*+json"), ("/orders-prod.json", "text/plain")]
    return listed


@pytest.fixture(scope="module")
def both(reference: tuple[str, Path], start_server: Callable[..., Any]) -> tuple[str, str, Path]:
    """Return the addresses of the reference and of ours, and the directory that both serve."""
    theirs, base = reference
    root = base / "main"
    for name, text in {**FILES, **DOCUMENTS, **VALUES}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    (root / "logo.bin").write_bytes(bytes(range(256)))
    ours = start_server(f"{root.as_uri()}?layout=spring", "--base-path", "")
    return theirs, ours.url, root


@pytest.mark.case(87)
@pytest.mark.parametrize("text", ["{plain}", "pässwörd ☃", "{key:k2}v"])
def test_the_stronger_rsa_is_that_of_the_reference(
    both: tuple[str, str, Path], stronger_keys: KeyStoreFile, text: str
) -> None:
    keys = open_keys(EncryptionKeys(default=stronger_keys))
    with httpx.Client(base_url=both[0], headers={"Content-Type": "text/plain"}) as reference:
        encrypted = reference.post("/encrypt", content=text.encode()).text
        assert keys.decrypt(encrypted) == text.rpartition("}")[2]
        decrypted = reference.post("/decrypt", content=keys.encrypt(text))
        assert (decrypted.status_code, decrypted.text) == (200, text.rpartition("}")[2])


def is_deliberate(path: str, accept: str | None) -> bool:
    asked = f"{path} {accept}" if accept else path
    return any(re.fullmatch(pattern, asked) for pattern in DELIBERATE)


def test_every_answer_is_that_of_the_reference(both: tuple[str, str, Path]) -> None:
    theirs, ours, root = both
    asked = requests()
    assert len(asked) >= 150
    differing: list[str] = []
    with httpx.Client(base_url=theirs) as reference, httpx.Client(base_url=ours) as own:
        for path, accept in asked:
            headers = {} if accept is None else {"Accept": accept}
            expected = told(reference.get(path, headers=headers), root, "main")
            found = told(own.get(path, headers=headers), root, "main")
            if (found == expected) is is_deliberate(path, accept):
                differing.append(f"{path} {accept}: {expected!r} here {found!r}")
    assert differing == []


def test_other_methods_are_answered_as_by_the_reference(both: tuple[str, str, Path]) -> None:
    theirs, ours, _ = both
    with httpx.Client(base_url=theirs) as reference, httpx.Client(base_url=ours) as own:
        for method, path in itertools.product(METHODS, OF_METHODS):
            expected, found = reference.request(method, path), own.request(method, path)
            assert found.status_code == expected.status_code, (method, path)
            assert method != "HEAD" or found.content == b"", path
