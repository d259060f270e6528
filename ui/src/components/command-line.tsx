import { CopyButton } from "./copy-button";

// CommandLine is something to type in a terminal, with a button that copies all of it.
export function CommandLine({ text, label }: { text: string; label: string }) {
  return (
    <div className="flex w-full items-start gap-1 rounded-md border border-line bg-canvas p-1 pl-3 text-left">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre className="mono min-w-0 flex-1 whitespace-pre-wrap wrap-anywhere py-1.5" tabIndex={0} role="region" aria-label={label}>
        {text}
      </pre>
      <CopyButton text={() => text} label={`Copy ${label}`} />
    </div>
  );
}
