import { type ReactNode, useId } from "react";

// Panel is a part of a page, with a heading and what stands at its right.
export function Panel({ title, side, children, className = "" }: { title: ReactNode; side?: ReactNode; children: ReactNode; className?: string }) {
  const id = useId();
  return (
    <section className={`panel min-w-0 ${className}`} aria-labelledby={id}>
      <header className="flex min-h-9 flex-wrap items-center gap-x-3 gap-y-1 border-line border-b px-3 py-1">
        <h2 id={id} className="font-semibold">
          {title}
        </h2>
        <span className="ml-auto flex items-center gap-2 text-text-2">{side}</span>
      </header>
      {children}
    </section>
  );
}
