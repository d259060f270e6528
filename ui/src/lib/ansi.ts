// ANSI in a log becomes spans with styles, never markup; what is no colour or weight is
// left out, so that nothing in a log moves a cursor or names a link.

export interface Span {
  text: string;
  color?: AnsiColor;
  bold?: boolean;
  dim?: boolean;
  italic?: boolean;
  underline?: boolean;
}

export const ansiColors = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"] as const;
export type AnsiColor = (typeof ansiColors)[number];

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are made of them
const sequence = /\x1b\[([0-9;:]*)([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f]/g;

export function parseAnsi(text: string): Span[] {
  const spans: Span[] = [];
  let style: Omit<Span, "text"> = {};
  let at = 0;
  const push = (end: number) => {
    if (end > at) spans.push({ ...style, text: text.slice(at, end) });
  };
  for (const match of text.matchAll(sequence)) {
    push(match.index);
    at = match.index + match[0].length;
    if (match[2] === "m") style = restyle(style, match[1] ?? "");
  }
  push(text.length);
  return spans;
}

// plain is the text without its sequences: what is searched and copied.
export function plainAnsi(text: string): string {
  return text.replace(sequence, "");
}

function restyle(style: Omit<Span, "text">, codes: string): Omit<Span, "text"> {
  let next = { ...style };
  const list = codes.split(/[;:]/).map(Number);
  for (let i = 0; i < list.length; i++) {
    const code = list[i] ?? 0;
    if (code === 0) next = {};
    else if (code === 1) next.bold = true;
    else if (code === 2) next.dim = true;
    else if (code === 3) next.italic = true;
    else if (code === 4) next.underline = true;
    else if (code === 22) next = { ...next, bold: undefined, dim: undefined };
    else if (code === 23) next.italic = undefined;
    else if (code === 24) next.underline = undefined;
    else if (code === 39) next.color = undefined;
    else if (code >= 30 && code <= 37) next.color = ansiColors[code - 30];
    else if (code >= 90 && code <= 97) next.color = ansiColors[code - 90];
    else if (code === 38 || code === 48) i += list[i + 1] === 5 ? 2 : 4; // 256 colours and more: the text stays
  }
  return next;
}
