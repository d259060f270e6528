import type { ComponentProps } from "react";

type Kind = "plain" | "primary" | "danger" | "quiet";

const kinds: Record<Kind, string> = {
  plain: "border-control bg-bg text-text hover:bg-hover",
  primary: "border-transparent bg-accent text-on-accent hover:opacity-90",
  danger: "border-control bg-bg text-failed-text hover:bg-failed-bg",
  quiet: "border-transparent bg-transparent text-text-2 hover:bg-hover hover:text-text",
};

const shape =
  "inline-flex h-7 shrink-0 items-center justify-center gap-1.5 whitespace-nowrap rounded-sm border px-2.5 font-medium transition-opacity disabled:opacity-50";

// A link that is drawn as a button: it goes somewhere, and can be opened in another tab.
export const linkLook = `${shape} ${kinds.plain}`;
export const primaryLook = `${shape} ${kinds.primary}`;

export function Button({ kind = "plain", className = "", ...rest }: ComponentProps<"button"> & { kind?: Kind }) {
  return <button type="button" {...rest} className={`${shape} ${kinds[kind]} ${className}`} />;
}

export function Kbd({ children }: { children: string }) {
  return <kbd className="rounded-sm border border-line bg-canvas px-1 text-[11px] text-text-2">{children}</kbd>;
}
