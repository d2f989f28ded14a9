"""Small repositories for a Spring Cloud Config server, made up from a seed, and what to ask for.

The same seed gives the same repositories, byte by byte. Every repository has one subject, named
in `SUBJECTS`, and is laid out as Spring's native backend reads it: all files in one directory.
Texts of every subject may turn up in any file of its repositories.
"""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import spring_repository

V2: Final = "application/vnd.spring-cloud.config-server.v2+json"
FLATTENED: Final = ("json", "yml", "properties")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One GET."""

    path: str
    accept: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """The files of one directory and what is asked of it."""

    label: str
    """Its name; it stands in the paths of the requests as the label."""
    files: Mapping[str, bytes] = field(repr=False)
    requests: tuple[Request, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the files of a kind of repository are about."""

    scalars: Sequence[str] = ("1", "true", "text", "'8080'", "1.5", "Grüße")
    """YAML texts of single values."""
    blocks: Sequence[str] = ()
    """YAML texts of whole lines at the top, with keys of their own."""
    conditions: Sequence[str] = ()
    """YAML texts of profile expressions for further documents."""
    applications: Sequence[str] = ("application", "orders", "billing")
    profiles: Sequence[str] = ("prod", "eu", "default")
    endings: Sequence[str] = ("yml", "yaml", "properties")
    together: bool = False
    """Whether files of one name have several of the endings; else one of them."""
    whole: Sequence[str] = ()
    """Texts of whole YAML files."""
    share: float = 0.4
    """How many of the files are such texts."""
    plain: Mapping[str, str] = field(default_factory=dict[str, str])
    """Plain files."""


PLACEHOLDERS: Final = (
    *("'${a}'", "'${b.c}'", "'${db.url}-${a}'", "'${missing}'", "'${missing:dflt}'"),
    *("'${missing:a:b}'", "'${missing:http://h:80/}'", "'${missing:}'", "'${missing:${b.c}}'"),
    *("'${missing:${gone:x}}'", "'${missing:${gone}}'", "'${${name}}'", "'${b.${last}}'"),
    *("'${x.${q:}z}'", "'${x.${q:y}z}'", "'${missing.${b.c}}'", "'${${gone}.x}'"),
    *("'\\${a}'", "'\\\\${a}'", "'\\${a:${b.c}}'", "'${missing:\\${a}}'", "'x\\${a}${a}'"),
    *("'${hosts[0]}'", "'${hosts}'", "'${hosts[9]:none}'", "'${hosts[${zero}]}'"),
    *("'${a'", "'}${'", "'${}'", "'${:x}'", "'$${a}'", "'$a'", "'{a}'", "'#{a}'", "'${a}}'"),
    *("'${ a }'", "'${a }'", "'${missing: x }'", "'${missing:${}'", "'${missing:}}'"),
    *("'${missing:{}}'", "'${missing:a}b}'", '"${\\na\\n}"', "'${A}'", "'${db.pool-size}'"),
    *("'${db.poolSize}'", "'${a:x}${a}${missing:${a}}'", "'${\"a\"}'", "'${a:${a:${a}}}'"),
    *("'${HOME}'", "'${user.dir}'", "'${spring.application.name}'", "'${flag}'", "'${size}'"),
)
CIRCLES: Final = ("'${a}'", "'${b.c}'", "'x${b.d}'", "'${db.url:${a}}'", "'${b.${last}}'", "end")
SCALARS: Final = (
    *("1", "0", "-5", "+7", "010", "0x1F", "0b11", "1_000", "08", "0o10", "-010", "0x", "1__0"),
    *("1.0", "1.10", ".5", "1.", "1e3", "1.5e3", "1.0e20", "1.0e-5", "-0.0", "0.001", "1e-7"),
    *("12345678.9", "3.4028235e38", "1E3", "1e+3", "6.02e23", "-1.5E-10", "0.1e1", "1_0.5"),
    *("1e10", "1.0e10", "1e16", "10000000.0", "9999999.0", "1234567.0", "0.0001", "1e0"),
    *("12:30", "1:75", "190:20:30", "-1:30", "1:30.5", "0:0"),
    *("yes", "No", "on", "OFF", "true", "False", "TRUE", "y", "n", "oN", "tRue"),
    *("null", "~", "", "Null", "NULL", "nil", "'null'", "'~'", "''"),
    *("2001-12-14", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.10 -5", "'2001-12-14'"),
    *("2001-1-1", "2001-12-14T21:59:43Z"),
    *("two words", "'it''s'", '"a\\nb"', '"\\u00e9\\x41\\t|"', "'010'", "'true'", "'1.0'", "' x '"),
    *("'a: b'", "x#y", "x # y", "'# y'", "a:b", "'a:'", "'- x'", "'[x'", "'{x'", "'%x'", "'@x'"),
    *("Grüße", "日本語", "'☃ snow'", '"\\u2028"', "'\\n'", "'\"'", '"\'"', "a'b", 'a"b'),
    *("!!str 5", "!!str true", "!!int '7'", "!!float 3", "!!bool 'yes'", "!!str", "! 5"),
    *("1,000", "1.2.3", "=", "<<", "'='", "a,b", "a, b", ".", "..", "-", "--", "---x", "?x"),
    *("123456789012345678901234567890", "9223372036854775807", "9223372036854775808"),
    *("2147483648", "-2147483649", "9007199254740993", "0xFFFFFFFFFF", "0.1", "100000000.0"),
    *("|\n  one\n  two", "|-\n  one\n  two", "|+\n  one\n\n", ">\n  one\n  two\n\n  three"),
    *(">-\n  folded\n  text", "one\n  two", '"one\n  two"', "'one\n\n  two'", "|2\n    lead"),
    *(f"'{'word ' * 20}end'", f"{'long' * 30}", f"'{'k: ' * 40}v'", "'tab\there'", '"\\\\"'),
)
INFINITIES: Final = (".inf", "-.inf", ".NaN", ".Inf", "+.INF", ".nan", "1e400", "1e10", "'.inf'")
KEYED: Final = (
    "'a b': 1\n'c.d': 2\n'[e]': 3\ng[h]: 4\ni: {'[j.k]': 5}\n'l:m': 7\nN_O: 9\n",
    "1: a\n2.5: b\ntrue: c\nm: {1: x, 2.5: y, no: z, 010: o, 2001-01-01: d}\n",
    "on: z\nyes: w\noff: v\n",
    "paths: {'[/p/**]': w, /q: w3, '/r.s': w4}\n",
    "'dotted.key': v\n'dotted': {other: w}\n",
    "deep: {a: {b: {c: {d: [1, [2, 3], {e: [4]}]}}}}\n",
    "org.x: W\norg.x.y: E\n",
    "org.p.q: W\norg.p: E\n",
    "Ümläut: {ключ: 1, 鍵: 2}\n",
    "'${a}': 1\n'p${a:q}': r\n",
    "UPPER: {CamelCase: 1, kebab-case: 2, snake_case: 3}\n",
    "? complex\n: value\n? 'quoted'\n: {a: 1}\n",
    "'quo\"te': 1\n\"sing'le\": 2\n'back\\slash': 3\n'tab\tkey': 4\n",
    "twice.a: 1\ntwice: {a: 2}\n",
    "'a=b': 1\n'c#d': 2\n'#e': 3\n'!f': 4\n'g ': 5\n",
)
LISTS: Final = (
    "hosts: [a, b, c]\n",
    "hosts: [p]\n",
    "hosts:\n- x\n-\n- ~\n- z\n",
    "'hosts[0]': first\n'hosts[1]': second\n",
    "'hosts[1]': only\n",
    "items: [{n: 1, tags: [x, y]}, {n: 2}]\n",
    "items:\n- n: 9\n  more: {deep: [1, 2]}\n",
    "items: [{n: 3}, {}, {m: ~}]\n",
    "grid: [[1, 2], [3]]\n",
    "grid: [[9]]\n",
    "grid: [[], [[x]], 5]\n",
    "map: {list: [1, 2, 3], other: x}\n",
    "map.list: [4]\n",
    "map: {'list[0]': 5}\n",
    "empty: {}\nmap: {sub: {}}\n",
    "nothing: ~\nnone:\nblank: ''\n",
    "many: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]\n",
    "many: ['${a}', '${missing:x}', true, 1.0]\n",
)
ODD: Final = (
    "base: &b {x: 1, y: [1, 2]}\nuse: {<<: *b, x: 2}\nlist: [*b, *b]\n",
    "<<: {top: 1}\n",
    "first: &f {p: 1}\nsecond: &s {q: 2, p: 3}\nboth: {<<: [*f, *s], r: 4}\n",
    "name: &n shared\nalso: *n\n",
    "flow: {a: 1, b: [x, y], 'c': {d: e}, }\n",
    "comment: x # not this\n# nor this\nnext: 'y # this'\n",
    "indented:\n      far: 1\n      away: 2\n",
    "block: |\n  one\n   two\n\n  three\nafter: 1\n",
    "strip: |-\n  one\nkeep: |+\n  two\n\nfold: >-\n  three\n  four\n",
    "seq:\n- a\n-   b\n- - c\n  - d\n- e: 1\n  f: 2\n",
    "str: !!str 5\nmap: !!map {a: 1}\nseq: !!seq [1]\n",
    "quoted: 'it''s'\ndouble: \"a\\tb\\u00e9\\\n  c\"\n",
    "multi: one\n  two\n\n  three\n",
    "colon: a:b\nurl: http://x:80/y?z=1#f\nwin: C:\\dir\n",
)
WHOLE: Final = (
    "",
    "# only a comment\n",
    "---\n",
    "---\n---\n",
    "{}\n",
    "a: 1\n---\n\n---\nb.c: 2\n",
    "---\na: 1\n...\n---\nb.c: 2\n...\n",
    "%YAML 1.1\n---\na: 1\n",
    "\ufeffa: 1\r\nb:\r\n  c: |\r\n    x\r\n    y\r\n",
    "- c\n- d\n",
    "{a: 1, b: {c: x}, hosts: [x]}\n",
    "a: 1\nb: {c: 2}\n--- # next\na: 3\n",
    "a: 1 # no line end",
)
SINGLES: Final = (
    *("just text\n", "5\n", "true\n", "1.5\n", "'08'\n", "018\n", "|\n  one\n  two\n", "'x: y'\n"),
    *(
        "''\n",
        "[]\n",
        "~\n",
        "2001-12-14\n",
        "Grüße\n",
        "'- x'\n",
        "--- text\n",
        "${gone}\n",
        "1e3\n",
    ),
)
BROKEN: Final = (
    *("a: [\n", "a: 1\na: 2\n", "a: 'open\n", "a: 1\n b: 2\n", "a: *none\n", "\tb: 1\n"),
    *("a: b: c\n", "a: @x\n", "{a: 1\n", "a: 1\n---\nb: [\n", "- a\nb: 1\n", 'a: "\\q"\n'),
)
PROPERTIES: Final = (
    "a = 1\nb.c: 2\nk v v\ne=\nempty\n",
    "a\\ b=2\nf\\=g=h\nu=\\u00fc\\t|\n",
    "cont=a,\\\n   b,\\\n   c\n! c\n# d\n",
    "list=a,b\nl[0].x=1\nl[0].y=2\nl[2]=z\nm[k.v]=1\n",
    "a=first\na=second\n",
    "b.c=${a}\ndb.url=${missing:x}\n",
    "a=1\n#---\nb.c=2\n!---\ndb.url=3\n",
    "a=1\n#---\nspring.config.activate.on-profile=prod\nb.c=2\n",
    "a=1\r\nb.c=2\r\n",
    "n=1e3\nt=true\no=010\nd=2001-12-14\n",
)
TEXTS: Final = {
    "app.conf": "a ${a};\nc ${b.c:80};\nraw \\${x} ${none}\nnested ${x.${q:}z} ${missing:${a}}\n",
    "app-prod.conf": "prod ${a} ${hosts[0]:none}\n",
    "app-default.conf": "default ${a}\n",
    "etc/deep.txt": "deep ${db.url} ${${name}}\n",
    "page": "no extension ${a}\n",
    "page-eu": "eu\n",
}
DASHED: Final = ("application", "application-x", "a", "a-b", "a-b-c", "b", "x")
SUBJECTS: Final = {
    "defaults": Subject(),
    "plain": Subject(plain=TEXTS, scalars=("1", "'${b.c}'", "x", "${gone}", "'\\${a}'", "b")),
    "roles": Subject(applications=DASHED, profiles=("b", "c", "b-c", "x", "y", "default")),
    "conditions": Subject(
        conditions=(
            *("prod", "eu", "'!prod'", "'prod & eu'", "'prod | eu'", "default", "'!default'"),
            *("'prod, eu'", "'(prod | eu) & !default'", "'!(prod & eu)'", "x", "'prod & !eu & !x'"),
            *("''", "'!!prod'"),
        )
    ),
    "choices": Subject(
        conditions=(
            *("[prod, eu]", "[default, '!eu']", "['prod | eu', x]", "[x]", "['!x & eu', prod]"),
        ),
        endings=("yml", "yaml"),
    ),
    "placeholders": Subject(scalars=(*PLACEHOLDERS, "b", "c", "1", "true", "x"), blocks=LISTS[:4]),
    "circles": Subject(scalars=CIRCLES),
    "scalars": Subject(scalars=SCALARS, endings=("yml", "yaml")),
    "infinities": Subject(scalars=INFINITIES, endings=("yml", "yaml")),
    "keys": Subject(blocks=KEYED, endings=("yml", "yaml")),
    "lists": Subject(blocks=LISTS),
    "odd": Subject(blocks=ODD, whole=WHOLE, endings=("yml", "yaml")),
    "singles": Subject(whole=SINGLES, share=1, endings=("yml", "yaml")),
    "properties": Subject(endings=("properties", "yml")),
    "formats": Subject(
        together=True,
        applications=DASHED,
        profiles=("b", "c", "b-c", "x", "prod", "default"),
        conditions=("b", "'!b'", "default", "'b & c'", "'x, prod'"),
    ),
    "broken": Subject(whole=(*BROKEN, *WHOLE[-2:]), endings=("yml", "yaml")),
}
KEYS: Final = (
    *("a", "b.c", "b.d", "db.url", "db.pool-size", "name", "last", "zero", "flag", "size"),
    *("x.z", "x.yz"),
)


def rules_repository(label: str) -> Repository:
    """Return the repository in which every rule for files shows: documents and flat texts."""
    files = {name: text.encode() for name, text in spring_repository.contents()}
    requests = [
        Request(path=path)
        for application, profile in spring_repository.requests()
        for path in (
            f"/{application}/{profile}/{label}",
            f"/{label}/{application}-{profile}.properties",
        )
    ]
    return Repository(label=label, files=files, requests=tuple(requests))


def repositories(seed: int, *, copies: int = 2) -> Iterator[Repository]:
    """Yield the repositories of a seed, `copies` of each subject."""
    for subject, number in itertools.product(SUBJECTS, range(copies)):
        label = f"{subject}{seed}.{number}"
        chance = random.Random(label)
        yield _repository(label, SUBJECTS[subject], chance)


def _repository(label: str, subject: Subject, chance: random.Random) -> Repository:
    files: dict[str, bytes] = {}
    stems = [*dict.fromkeys(_stems(subject))]
    for stem in chance.sample(stems, k=min(len(stems), 3 + len(stems) // 2)):
        endings = _endings(subject, chance)
        for ending in endings:
            text = _properties(chance) if ending == "properties" else _yaml(subject, chance)
            files[f"{stem}.{ending}"] = text.encode()
        if endings != ["properties"] and chance.random() < 0.1:
            files[f"{stem}.json"] = b'{"of": "a plain file"}'
    files |= {name: text.encode() for name, text in subject.plain.items()}
    return Repository(label=label, files=files, requests=tuple(_requests(label, subject, chance)))


def _endings(subject: Subject, chance: random.Random) -> list[str]:
    if not subject.together:
        return [chance.choice(subject.endings)]
    return chance.sample(subject.endings, k=chance.randint(1, len(subject.endings)))


def _stems(subject: Subject) -> Iterator[str]:
    for application in subject.applications:
        yield application
        yield from (f"{application}-{profile}" for profile in subject.profiles)


def _yaml(subject: Subject, chance: random.Random) -> str:
    if subject.whole and chance.random() < subject.share:
        return chance.choice(subject.whole)
    documents = [_document(subject, chance)]
    for condition in chance.sample(subject.conditions, k=min(len(subject.conditions), 3)):
        key = f"spring.config.activate.on-profile: {condition}\n"
        documents.append(key + _document(subject, chance))
    return "---\n".join(documents)


def _document(subject: Subject, chance: random.Random) -> str:
    """Return keys with values, dotted or nested, and perhaps some lines of the subject."""
    text = ""
    keys = sorted(chance.sample(KEYS, k=chance.randint(2, len(KEYS) - 2)))
    for first, group in itertools.groupby(keys, key=lambda key: key.partition(".")[0]):
        rests = [key.partition(".")[2] for key in group]
        values = [chance.choice(subject.scalars) for _ in rests]
        if rests == [""] or chance.random() < 0.4:
            names = [f"{first}.{rest}".rstrip(".") for rest in rests]
            text += "".join(
                _line(name, value, "") for name, value in zip(names, values, strict=True)
            )
        else:
            lines = (_line(rest, value, "  ") for rest, value in zip(rests, values, strict=True))
            text += f"{first}:\n{''.join(lines)}"
    for block in chance.sample(subject.blocks, k=min(len(subject.blocks), chance.randint(0, 3))):
        if not _tops(block) & _tops(text):
            text += block
    return text


def _line(name: str, value: str, indent: str) -> str:
    return f"{indent}{name}: {value}".replace("\n", f"\n{indent}") + "\n"


def _tops(text: str) -> set[str]:
    """Return the keys at the top, more or less."""
    return {line.partition(":")[0] for line in text.splitlines() if line[:1] not in {" ", "-", ""}}


def _properties(chance: random.Random) -> str:
    lines = [f"{key}={chance.choice(['1', 'true', 'text', '${a}', 'x y'])}" for key in KEYS[:4]]
    return chance.choice([chance.choice(PROPERTIES), "\n".join(lines) + "\n"])


def _requests(label: str, subject: Subject, chance: random.Random) -> Iterator[Request]:
    singles = [*subject.applications, "nobody"]
    applications = [*singles, *(",".join(chance.sample(singles, k=2)) for _ in range(3))]
    lists = [",".join(chance.sample(subject.profiles, k=2)) for _ in range(3)]
    profiles = [*subject.profiles, "x", *lists]
    pairs = [*itertools.product(applications, profiles)]
    for application, profile in chance.sample(pairs, k=min(len(pairs), 14)):
        yield Request(path=f"/{application}/{profile}/{label}")
        if "properties" not in subject.endings:
            yield Request(path=f"/{application}/{profile}/{label}", accept=V2)
        for ending in FLATTENED:
            yield Request(path=f"/{label}/{application}-{profile}.{ending}")
        ending = chance.choice(FLATTENED)
        yield Request(path=f"/{label}/{application}-{profile}.{ending}?resolvePlaceholders=false")
        for name in subject.plain:
            if "-" not in name:
                yield Request(path=f"/{application}/{profile}/{label}/{name}")


LOCATIONS: Final = (
    "config",
    "{application}",
    "{application}/{profile}",
    "common/*",
    "{profile}",
    "",
)
"""The search locations of `located_repository`, in the form of both servers."""


def located_repository(label: str, seed: int) -> Repository:
    """Return a repository whose files lie in search locations, and requests for it.

    Below a `*` there is one file for each profile: the native backend orders several of them by
    application before directory.
    """
    chance = random.Random(f"{label}{seed}")
    applications, profiles = ("application", "orders", "billing"), ("prod", "eu", "default")
    stems = [*_stems(Subject(applications=applications, profiles=profiles))]
    places = ["config", "", *applications, *profiles, "elsewhere", "orders/elsewhere"]
    places += [f"{one}/{other}" for one in applications for other in profiles]
    paths = [f"{place}/{stem}.{end}" for place in places for stem in stems for end in _ENDINGS]
    chosen = chance.sample(paths, k=len(paths) // 3)
    for profile in ("", "-prod", "-eu"):
        chosen.append(f"common/{chance.choice('abc')}/{chance.choice(applications)}{profile}.yml")
    files = {path.removeprefix("/"): _located(path).encode() for path in chosen}
    plain = ("app.conf", "app-eu.conf")
    names = [f"{place}/{name}".lstrip("/") for place in places for name in plain]
    for name in chance.sample(names, k=len(names) // 4):
        files[name] = f"{name}: ${{who}}\n".encode()
    asked = [*applications, "nobody", "orders,billing", "billing,orders", "application,orders"]
    wanted = [*profiles, "x", "prod,eu", "eu,prod", "default,eu", "prod,default"]
    requests = [
        Request(path=path)
        for application, profile in itertools.product(asked, wanted)
        for path in (
            f"/{application}/{profile}/{label}",
            *(f"/{label}/{application}-{profile}.{ending}" for ending in FLATTENED),
            f"/{application}/{profile}/{label}/app.conf",
            f"/{application}/{profile}/{label}/orders.yml",
        )
    ]
    return Repository(label=label, files=files, requests=tuple(requests))


_ENDINGS: Final = ("properties", "yml")


def _located(path: str) -> str:
    """Return a text that names its file."""
    sign = "=" if path.endswith(".properties") else ": "
    own = path.lstrip("/").replace("/", "_").replace("-", "_").replace(".", "_")
    return f"who{sign}{path.lstrip('/')}\nown.{own}{sign}1\n"
