// The words of a YAML file, told apart for the eye: enough for flows, line by line. It
// judges nothing: whatever it does not know is plain text.

export type TokenKind = "plain" | "key" | "string" | "number" | "word" | "comment" | "placeholder" | "sign";

export interface Token {
  text: string;
  kind: TokenKind;
}

const key = /^(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#"'{}[\],&*!|>%@`-][^#:{}[\],]*|-[^\s#:{}[\],][^#:{}[\],]*)(?=\s*:(?:\s|$))/;
const quoted = /^(?:"(?:[^"\\]|\\.)*"?|'(?:[^']|'')*'?)/;
const scalar = /^[^\s,[\]{}"'#](?:[^,[\]{}#]|(?<=\S)#)*/;
const block = /^[|>][+-]?\d*[+-]?\s*(?:#.*)?$/;
const plainNumber = /^[-+]?(?:\d[\d_]*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/;
const plainWord = /^(?:true|false|null|~)$/;
const placeholder = /\$\{[^}]*\}|\{\{.*?\}\}/g;

// yamlTokens gives the tokens of each line; their texts put together are the line.
export function yamlTokens(lines: readonly string[]): Token[][] {
  let blockIndent = -1; // of the line that a text below belongs to
  return lines.map((line) => {
    const indent = line.search(/\S/);
    if (blockIndent >= 0) {
      if (indent < 0 || indent > blockIndent) return withPlaceholders(line, "string");
      blockIndent = -1;
    }
    const tokens = lineTokens(line);
    const last = tokens.findLast((token) => token.kind !== "comment" && token.text.trim() !== "");
    if (last?.kind === "sign" && /^[|>]/.test(last.text)) blockIndent = indent;
    return tokens;
  });
}

function lineTokens(line: string): Token[] {
  const tokens: Token[] = [];
  let rest = line;
  const take = (text: string, kind: TokenKind) => {
    if (text === "") return;
    tokens.push(...(kind === "string" || kind === "plain" ? withPlaceholders(text, kind) : [{ text, kind }]));
    rest = rest.slice(text.length);
  };
  while (rest !== "") {
    take(/^\s*/.exec(rest)?.[0] ?? "", "plain");
    if (rest === "") break;
    const before = line[line.length - rest.length - 1];
    if (rest.startsWith("#") && (before === undefined || /\s/.test(before))) take(rest, "comment");
    else if (/^-(?:\s|$)/.test(rest)) take("-", "sign");
    else if (block.test(rest)) take(/^[|>]\S*/.exec(rest)?.[0] ?? "", "sign");
    else if (key.test(rest)) {
      take(key.exec(rest)?.[0] ?? "", "key");
      take(/^\s*:/.exec(rest)?.[0] ?? "", "sign");
    } else if (quoted.test(rest)) take(quoted.exec(rest)?.[0] ?? "", "string");
    else if (/^[$]\{|^\{\{/.test(rest)) take(/^(?:\$\{[^}]*\}|\{\{.*?\}\})/.exec(rest)?.[0] ?? rest, "placeholder");
    else if (/^[[\]{},:]/.test(rest)) take(rest.charAt(0), "sign");
    else value(scalar.exec(rest)?.[0] ?? rest.charAt(0), take);
  }
  return tokens;
}

function value(found: string, take: (text: string, kind: TokenKind) => void): void {
  const text = found.replace(/\s+$/, "");
  if (plainNumber.test(text)) take(text, "number");
  else if (plainWord.test(text)) take(text, "word");
  else take(text || found, "plain");
}

function withPlaceholders(text: string, kind: "string" | "plain"): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (const match of text.matchAll(placeholder)) {
    if (match.index > at) tokens.push({ text: text.slice(at, match.index), kind });
    tokens.push({ text: match[0], kind: "placeholder" });
    at = match.index + match[0].length;
  }
  if (at < text.length) tokens.push({ text: text.slice(at), kind });
  return tokens;
}
