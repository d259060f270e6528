import { type AnsiColor, parseAnsi } from "../lib/ansi";

const colors: Record<AnsiColor, string> = {
  black: "text-text-3",
  red: "text-failed-text",
  green: "text-passed-text",
  yellow: "text-flaky-text",
  blue: "text-running-text",
  magenta: "text-errored-text",
  cyan: "text-accent",
  white: "text-text",
};

// AnsiText shows a line of a log. Escapes become styles of ours, everything else is text.
export function AnsiText({ text, find }: { text: string; find?: string }) {
  return parseAnsi(text).map((span, i) => {
    const style = [
      span.color && colors[span.color],
      span.bold && "font-semibold",
      span.dim && "opacity-80",
      span.italic && "italic",
      span.underline && "underline",
    ];
    return (
      // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a line never move
      <span key={i} className={style.filter(Boolean).join(" ") || undefined}>
        <Found text={span.text} find={find} />
      </span>
    );
  });
}

// Found marks what was searched for.
export function Found({ text, find }: { text: string; find?: string }) {
  if (!find) return text;
  const parts: { text: string; hit: boolean }[] = [];
  const lower = text.toLowerCase();
  const word = find.toLowerCase();
  let at = 0;
  for (let hit = lower.indexOf(word); hit >= 0 && lower.length === text.length; hit = lower.indexOf(word, at)) {
    if (hit > at) parts.push({ text: text.slice(at, hit), hit: false });
    parts.push({ text: text.slice(hit, hit + word.length), hit: true });
    at = hit + word.length;
  }
  parts.push({ text: text.slice(at), hit: false });
  return parts.map((part, i) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a line never move
    <span key={i} className={part.hit ? "rounded-xs bg-flaky-bg text-flaky-text outline outline-flaky" : undefined}>
      {part.text}
    </span>
  ));
}
