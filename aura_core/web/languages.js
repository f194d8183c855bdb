// @ts-check
// The languages whose code is coloured: their keywords, strings and comments.

/**
 * @typedef {object} Language
 * @property {Set<string>} words  keywords
 * @property {Set<string>} constants
 * @property {(readonly [open: string, close: string, lines: boolean])[]} strings  `lines`: it may continue on the next line
 * @property {string[]} line  what begins a comment up to the end of the line
 * @property {(readonly [string, string])[]} block  what encloses a comment
 * @property {boolean} [keys]  a word before ":" or "=" is a key
 * @property {boolean} [tags]
 * @property {boolean} [anyCase]
 * @property {boolean} [diff]
 */

const C_LINE = ["//"];
const C_BLOCK = [/** @type {const} */ (["/*", "*/"])];
const QUOTE = /** @type {const} */ (['"', '"', false]);
const APOSTROPHE = /** @type {const} */ (["'", "'", false]);
const BACKTICK = /** @type {const} */ (["`", "`", true]);
const C_STRINGS = [QUOTE, APOSTROPHE];
const CONSTANTS = set("true false null nil None True False undefined NaN Infinity this self super nullptr NULL");

const C_WORDS =
  "auto break case char const continue default do double else enum extern float for goto if inline int long register " +
  "return short signed sizeof static struct switch typedef union unsigned void volatile while";
const OO_WORDS =
  "abstract async await boolean catch class delete extends final finally implements import instanceof interface new " +
  "override package private protected public throw throws try var";

/** @type {Record<string, Language>} */
const LANGUAGES = {
  c: like(`${C_WORDS} bool constexpr static_assert #include #define #ifdef #ifndef #endif #if`),
  cpp: like(
    `${C_WORDS} bool catch class concept consteval constexpr co_await co_return co_yield decltype delete explicit friend ` +
      "mutable namespace new noexcept operator override private protected public requires static_cast template throw try " +
      "typename using virtual",
  ),
  csharp: like(
    `${C_WORDS} ${OO_WORDS} as base bool byte decimal delegate event foreach get in internal is lock namespace object out ` +
      "params partial readonly record ref required sealed set string uint using virtual when where yield",
  ),
  java: like(`${C_WORDS} ${OO_WORDS} byte native permits record sealed synchronized transient yield`),
  javascript: {
    ...like(
      "as async await break case catch class const continue debugger declare default delete do else enum export extends " +
        "finally for from function get if implements import in infer instanceof interface is keyof let namespace new of " +
        "private protected public readonly return satisfies set static switch throw try type typeof var void while with " +
        "yield any boolean never number object string symbol unknown",
    ),
    strings: [QUOTE, APOSTROPHE, BACKTICK],
  },
  go: {
    ...like(
      "any bool break byte case chan const continue default defer else error fallthrough float64 for func go goto if import " +
        "int int64 interface map package range return rune select string struct switch type uint8 var iota",
    ),
    strings: [QUOTE, APOSTROPHE, BACKTICK],
  },
  rust: {
    ...like(
      "as async await bool break char const continue crate dyn else enum extern f64 fn for i32 i64 if impl in let loop match " +
        "mod move mut pub ref return static str struct trait type u8 u32 u64 union unsafe use usize where while",
    ),
    strings: [QUOTE], // an apostrophe may begin a lifetime
  },
  swift: like(
    "actor any as associatedtype async await break case catch class continue default defer deinit do else enum extension " +
      "fileprivate for func guard if import in init inout internal is lazy let mutating open private protocol public repeat " +
      "return some static struct subscript switch throw throws try typealias var weak where while",
  ),
  kotlin: like(
    "abstract as break by catch class companion const constructor continue data do else enum finally for fun if import in " +
      "inline interface internal is lateinit lazy object open operator out override package private protected public return " +
      "sealed suspend throw try typealias val var when where while",
  ),
  php: {
    ...like(`${OO_WORDS} array as break case const continue default do echo else elseif enum fn for foreach function global if
      include match namespace print readonly require require_once return static switch trait use while yield`),
    line: ["//", "#"],
  },
  python: {
    ...like(
      "and as assert async await break case class continue def del elif else except finally for from global if import in is " +
        "lambda match nonlocal not or pass raise return try type while with yield",
      ["#"],
      [],
    ),
    strings: [/** @type {const} */ (['"""', '"""', true]), /** @type {const} */ (["'''", "'''", true]), ...C_STRINGS],
  },
  ruby: like(
    "alias and begin break case class def do else elsif end ensure for if in module next not or puts raise redo require " +
      "rescue retry return then undef unless until when while yield attr_accessor attr_reader private",
    ["#"],
    [],
  ),
  shell: {
    ...like(
      "case do done elif else esac export fi for function if in local readonly return select set source then unset until " +
        "while cd echo exit sudo",
      ["#"],
      [],
    ),
    strings: [/** @type {const} */ (['"', '"', true]), /** @type {const} */ (["'", "'", true])],
  },
  sql: {
    ...like(
      "add all alter and as asc begin between by case check column commit constraint create cross database default delete desc " +
        "distinct drop else end exists explain foreign from full grant group having if in index inner insert into is join key " +
        "left like limit not offset on or order outer over partition primary references replace returning right rollback " +
        "select set table then transaction trigger union unique update using values view when where with",
      ["--"],
    ),
    anyCase: true,
  },
  css: {
    ...like("@import @media @layer @supports @keyframes @container important from to", []),
    keys: true,
  },
  json: { ...like("", ["//"]), strings: [QUOTE], keys: true },
  settings: { ...like("FROM RUN CMD COPY ENTRYPOINT ENV EXPOSE WORKDIR USER ARG VOLUME LABEL", ["#"], []), keys: true },
  html: { ...like("", [], [/** @type {const} */ (["<!--", "-->"])]), tags: true, keys: true },
  diff: { ...like(""), diff: true },
};

/** @type {Record<string, string>} */
const NAMES = {
  "c++": "cpp", cc: "cpp", h: "c", hpp: "cpp", cs: "csharp", "c#": "csharp", js: "javascript", jsx: "javascript",
  mjs: "javascript", ts: "javascript", tsx: "javascript", typescript: "javascript", vue: "html", golang: "go", rs: "rust",
  kt: "kotlin", scala: "kotlin", dart: "java", groovy: "java", py: "python", python3: "python", pyi: "python", rb: "ruby",
  sh: "shell", bash: "shell", zsh: "shell", console: "shell", fish: "shell", powershell: "shell", mysql: "sql",
  postgresql: "sql", sqlite: "sql", scss: "css", less: "css", jsonc: "json", json5: "json", yaml: "settings",
  yml: "settings", toml: "settings", ini: "settings", dockerfile: "settings", docker: "settings", properties: "settings",
  makefile: "shell", make: "shell", xml: "html", svg: "html", patch: "diff", objectivec: "c", lua: "ruby", perl: "ruby",
  r: "ruby", julia: "ruby", elixir: "ruby",
}; // prettier-ignore

/**
 * @param {string} name  in any case
 * @returns {Language | undefined}
 */
export function languageOf(name) {
  const lower = name.toLowerCase();
  const own = Object.hasOwn(NAMES, lower) ? (NAMES[lower] ?? lower) : lower;
  return Object.hasOwn(LANGUAGES, own) ? LANGUAGES[own] : undefined;
}

/** @param {string} words */
function set(words) {
  return new Set(words.split(/\s+/));
}

/**
 * A language with C's strings, and its comments unless others are given.
 * @param {string} words
 * @param {string[]} line
 * @param {(readonly [string, string])[]} block
 * @returns {Language}
 */
function like(words, line = C_LINE, block = C_BLOCK) {
  return { words: set(words), constants: CONSTANTS, strings: C_STRINGS, line, block };
}
