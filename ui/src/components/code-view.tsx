import { memo, useMemo, useState } from "react";
import { plural } from "../lib/format";
import { type Token, type TokenKind, yamlTokens } from "../lib/yaml-tokens";
import { Button } from "./button";

const colors: Record<TokenKind, string> = {
  plain: "",
  key: "text-accent",
  string: "text-passed-text",
  number: "text-running-text",
  word: "text-errored-text",
  comment: "text-text-3 italic",
  placeholder: "text-flaky-text",
  sign: "text-text-3",
};

// firstLines are drawn at once; a file that has more is no flow that somebody reads.
const firstLines = 2_000;

// CodeView shows a file of YAML, line by line, to read and to copy. No editor: what it is
// told is text, and nothing of it is kept.
export function CodeView({ text, label }: { text: string; label: string }) {
  const [all, setAll] = useState(false);
  const lines = useMemo(() => text.replace(/\n$/, "").split("\n"), [text]);
  const tokens = useMemo(() => yamlTokens(all ? lines : lines.slice(0, firstLines)), [lines, all]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <div className="mono overflow-x-auto py-2" tabIndex={0} role="region" aria-label={label}>
      <ol className="min-w-max">
        {tokens.map((line, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines have no other name
          <CodeLine key={i} number={i + 1} tokens={line} />
        ))}
      </ol>
      {!all && lines.length > firstLines && (
        <Button kind="quiet" className="ml-12" onClick={() => setAll(true)}>
          {plural(lines.length - firstLines, "more line")}
        </Button>
      )}
    </div>
  );
}

const CodeLine = memo(function CodeLine({ number, tokens }: { number: number; tokens: Token[] }) {
  return (
    <li className="flex pr-4 hover:bg-hover">
      <span aria-hidden="true" className="w-11 shrink-0 select-none pr-3 text-right text-text-3">
        {number}
      </span>
      <Code tokens={tokens} />
    </li>
  );
});

export function Code({ tokens }: { tokens: Token[] }) {
  return (
    <code className="whitespace-pre">
      {tokens.map((token, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a line never move
        <span key={i} className={colors[token.kind] || undefined}>
          {token.text}
        </span>
      ))}
      {tokens.length === 0 && "\u200b"}
    </code>
  );
}
