import type { ReactNode } from "react";

// Facts are a few things that are to be seen at once, side by side.
export function Facts({ label, children, className = "" }: { label: string; children: ReactNode; className?: string }) {
  return (
    <dl
      aria-label={label}
      className={`grid shrink-0 grid-cols-2 gap-px overflow-hidden rounded-md border border-line bg-line sm:grid-cols-[repeat(auto-fit,minmax(9rem,1fr))] ${className}`}
    >
      {children}
    </dl>
  );
}

export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="min-w-0 bg-bg px-3 py-2">
      <dt className="text-text-2 text-xs">{name}</dt>
      <dd className="min-w-0 truncate font-medium">{children}</dd>
    </div>
  );
}
