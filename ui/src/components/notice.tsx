import type { ReactNode } from "react";
import type { Problem } from "../lib/problem";

// Notice says in place why something is not shown, and what to do about it.
export function Notice({ problem, children }: { problem: Problem; children?: ReactNode }) {
  return (
    <div role="alert" className="panel m-3 border-l-4 border-l-errored p-3">
      <p className="font-medium">{problem.title}</p>
      {problem.hint !== "" && <p className="mt-1 text-text-2">{problem.hint}</p>}
      {problem.requestId !== "" && <p className="mt-1 text-xs text-text-3">Request {problem.requestId}</p>}
      {children !== undefined && <div className="mt-3 flex gap-2">{children}</div>}
    </div>
  );
}

// Empty says that there is nothing yet, with the one thing that changes it.
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="mx-auto flex max-w-xl flex-col items-center gap-3 px-4 py-16 text-center">
      <h2 className="text-lg font-medium">{title}</h2>
      {children}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <p role="status" className="p-6 text-text-2">
      {what}…
    </p>
  );
}
