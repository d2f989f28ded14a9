"""Prints the YAML texts whose meaning the golden table records, as JSON strings, one a line."""

import json

SCALARS = """
8080 +1 -1 0 -0 +0 00 1_000 1__0 _1 1_ 0x1F 0X1F 0x_1f 0x 0x_ -0x1F +0x1f 0xG 0b11 0b_1 0b 0b12 -0b11
010 0o10 08 09 018 0_7 0_ -010 +010 012345670 07_7 12:30 1:75 12:30:45 -12:30 +1:30 0:30 01:30 1:5
1:59:59 1:60 12:30.5 190:20:30.15 1: 1.0 1.10 .5 -.5 +.5 1. 1.e3 1e3 1E3 1.5e3 1e+3 1e-3 1.0e10 1e400
-1e400 .e3 e3 1e 1e+ 1.2.3 1_0.5_0 ._5 .5_ 1_.5 0.0 -0.0 00.5 08.5 1,000 1,5 = == .inf -.inf +.inf
.Inf .INF .iNF .nan .NaN .NAN .Nan -.nan +.nan inf nan Infinity NaN yes Yes YES yEs no No NO on On ON off
Off OFF oFf y Y n N t f true True TRUE tRUE false False FALSE ~ null Null NULL nULL None nil << <<< < >
2001-12-14 2001-1-1 2001-12-14T21:59:43Z 2024-02-30 12-14 12:30:45.123 1-2 a-b a.b a:b http://x:80/y
1/2 1+1 1-1 +-1 --1 + - -- . .. ... .a a. a: 0.1.2 1e3.5 0x1.8 1.8p3 1L 1f 0777 0888 9007199254740993
2147483647 2147483648 -2147483648 9223372036854775807 9223372036854775808
123456789012345678901234567890 0xFFFFFFFFFFFFFFFFFFFF 0b1111111111111111111111111111111111111111
1.7976931348623157e308 4.9e-324 1e-400 0.1 100.0 1234567.0 12345678.9 1e21 123456789.123456789
""".split()

QUOTED = [
    '"true"',
    "'5'",
    '"1e3"',
    "'~'",
    '""',
    "''",
    '"a\\tb\\u263a"',
    "'it''s'",
    "!!str 5",
    "!!str yes",
    "!!str",
    "!!int '5'",
    "!!int 0x1F",
    "!!float '1'",
    "!!float 5",
    "!!bool 'yes'",
    "!!null ''",
    "! 12",
    "! yes",
    "!!int x",
    "!!bool maybe",
    "!!float abc",
    "!foo x",
    "!!python/object:os.x {}",
    "!!java.net.URL [x]",
    "!!binary aGk=",
    "!!timestamp 2001-12-14",
    "!!set {a, b}",
    "!!omap [a: 1]",
    "!!str [a]",
    "!!map {a: 1}",
    "!!seq [1]",
    "!!map [1]",
    "!!seq {a: 1}",
]

DOCUMENTS = [
    "",
    "# only a comment\n",
    "---\n",
    "---\n...\n",
    "--- x\n",
    "a:",
    "a: ",
    "a: |\n  x\n  y\n",
    "a: |-\n  x\n  y\n",
    "a: |+\n  x\n\n",
    "a: >\n  x\n  y\n\n  z\n",
    "a: >-\n  x\n",
    "a: 'x\n  y'\n",
    "a: x\n  y\n",
    "a: b: c\n",
    "a: {cipher}x\n",
    "a: '{cipher}x'\n",
    "a: [1, 2\n",
    "a: ]\n",
    "a:\tb\n",
    "\ta: b\n",
    "a: 1\n b: 2\n",
    "a: 1\nb: 2\na: 3\n",
    "{a: 1, 'a': 2}\n",
    "1: a\n'1': b\n",
    "1: a\n1: b\n",
    "1: a\n0x1: b\n",
    "on: a\nyes: b\n",
    "on: a\noff: b\n",
    "~: a\n",
    "null: a\n",
    "? [a, b]\n: c\n",
    "? {a: 1}\n: c\n",
    "? a\n: b\n",
    "? a\n",
    "2.5: a\n1e3: b\n",
    "12:30: a\n",
    "2001-12-14: a\n",
    "010: a\n",
    "=: a\n",
    "'': a\n",
    "a: &x 1\nb: *x\n",
    "a: &x [1, 2]\nb: *x\n",
    "a: &x {k: v}\nb: *x\n",
    "a: *nope\n",
    "a: &a [*a]\n",
    "&k key: 1\nother: *k\n",
    "&k key: 1\n*k : 2\n",
    "a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\n",
    "a: &x {k: 1, l: 2}\nb:\n  l: 3\n  <<: *x\n",
    "a: &x {k: 1}\nb: &y {k: 2, m: 3}\nc:\n  <<: [*x, *y]\n",
    "a: &x {k: 1}\nb: &y {k: 2, m: 3}\nc:\n  z: 0\n  <<: *x\n  <<: *y\n  k: 9\n",
    "a: {<<: 1}\n",
    "a: {<<: [1]}\n",
    "a: {'<<': 1}\n",
    "a: {<<: {b: 1}}\n",
    "<<: {a: 1}\nb: 2\n",
    "a: <<\n",
    "a: &x {b: 1, b: 2}\n",
    "- a\n- b\n",
    "- a: 1\n  b: 2\n- c\n",
    "plain text\n",
    "5\n",
    "[a, b]\n",
    "a: 1 # comment\n",
    "a: 1#no comment\n",
    "a: '#x'\n",
    "a: b #\n",
    "%YAML 1.1\n---\na: 1\n",
    "%YAML 1.2\n---\na: 010\n",
    "%TAG ! tag:x,2000:\n---\na: 1\n",
    "a: 1\n...\n",
    "a: 1\n---\n",
    "---\na: 1\n",
    "a: @x\n",
    "a: `x\n",
    "a: %x\n",
    "a: 'unclosed\n",
    'a: "bad \\q"\n',
    "a: - b\n",
    "a:\n- b\n- c\n",
    "a:\n  - b\n  -\n",
    "[a, [b, {c: d}], ]\n",
    "{a, b: }\n",
    "{a: 1, b}\n",
    "a: {b: [1, {c: yes}]}\n",
    "? |\n  block\n: v\n",
    "a: !!str\nb: 1\n",
    "'a': 1\n\"b\": 2\n",
    "a.b: 1\na:\n  b: 2\n",
    "- &x a\n- *x\n",
    "a: \u00e4\u263a\U0001f600\n",
    "a: \u2028x\n",
    'a: "\\ud83d\\ude00"\n',
    "a: x\u0085y\n",
    'a: "x\\\n  y"\n',
    "a: ---\n",
    "a: ...\n",
    "key with spaces: v\n",
    "a:b: c\n",
    "'a: b': c\n",
    "a: [x y, z]\n",
    "a: {x y: z}\n",
    "a: , b\n",
    "a: [a,b]\n",
    "a: x, y\n",
]


def main() -> None:
    texts = [
        *(f"v: {scalar}" for scalar in SCALARS),
        *(f"v: {text}" for text in QUOTED),
        *DOCUMENTS,
    ]
    texts += [f"v: {'1' * 1024}", f"v: {'1' * 1025}", f"v: 1.{'0' * 1023}"]
    for text in dict.fromkeys(texts):
        print(json.dumps(text))


if __name__ == "__main__":
    main()
