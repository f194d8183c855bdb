// Serialize a DOM so that two renderings of the same Markdown are equal despite harmless differences.

const BLOCKS = new Set(
  "P H1 H2 H3 H4 H5 H6 UL OL LI PRE BLOCKQUOTE HR TABLE THEAD TBODY TR TH TD DIV".split(" "),
);

/** The canonical text of what is inside an element. */
export function canonical(root) {
  return children(root, false).replace(/\s*\n\s*/g, "\n").trim();
}

function children(parent, inPre) {
  return [...parent.childNodes].map((node) => write(node, inPre)).join("");
}

function write(node, inPre) {
  if (node.nodeType === Node.TEXT_NODE) {
    const text = inPre ? node.data.replaceAll("\n", "␊") : node.data.replace(/[ \t\r\n]+/g, " ");
    return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  }
  if (node.nodeType !== Node.ELEMENT_NODE) return "";
  const tag = node.tagName;
  const pre = inPre || tag === "PRE";
  if (node.matches("span.lines, div.table")) return children(node, pre);
  if (tag === "P" && node.parentElement?.tagName === "LI" && tight(node)) return `\n${children(node, pre).trim()}\n`;
  const inside = children(node, pre);
  if (tag === "SPAN" && node.classList.contains("no-link")) {
    const title = node.title === node.dataset.to ? "" : node.title;
    return `<a ${address(node.dataset.to)}${title && ` title=${title}`}>${inside}</a>`;
  }
  const name = tag.toLowerCase();
  const open = `<${name}${attributes(node, name)}>`;
  if (name === "br" || name === "hr") return `\n${open}\n`;
  if (!BLOCKS.has(tag)) return `${open}${inside}</${name}>`;
  return `\n${open}${pre ? inside : inside.trim()}</${name}>\n`;
}

// Ours marks the loose lists; the specification leaves the paragraph away in the others.
function tight(paragraph) {
  const list = paragraph.parentElement.parentElement;
  return list.closest("[data-ours]") ? !list.classList.contains("loose") : false;
}

function attributes(node, name) {
  if (name === "a") return ` ${address(node.getAttribute("href"))}${node.title && ` title=${node.title}`}`;
  if (name === "ol" && node.hasAttribute("start")) return ` start=${node.getAttribute("start")}`;
  if (name === "code") {
    const language = node.dataset.language ?? /^language-(.*)/.exec(node.className)?.[1];
    return language ? ` language=${language}` : "";
  }
  return "";
}

function address(text) {
  try {
    return `href=${encodeURI(decodeURI(text))}`;
  } catch {
    return `href=${encodeURI(text)}`;
  }
}
