import { type FormEvent, type RefObject, useEffect, useState } from "react";
import { Icon } from "../../components/icon";
import { parseQuery, printQuery, type RunQuery } from "../../lib/query-text";

const quick = [
  { status: undefined, word: "All" },
  { status: "failed", word: "Failed" },
  { status: "errored", word: "Errored" },
  { status: "active", word: "Active" },
  { status: "passed", word: "Passed" },
];

// QueryBar is the address as one line of text. What is not understood is said, and stays
// as it was typed.
export function QueryBar({
  query,
  change,
  input,
}: {
  query: RunQuery;
  change: (query: RunQuery) => void;
  input: RefObject<HTMLInputElement | null>;
}) {
  const [text, setText] = useState(printQuery(query));
  const [problem, setProblem] = useState("");
  const printed = printQuery(query);
  useEffect(() => {
    setText(printed);
    setProblem("");
  }, [printed]);
  const submit = (event?: FormEvent) => {
    event?.preventDefault();
    const read = parseQuery(text);
    setProblem(read.problem);
    if (read.problem === "") change(read.query);
  };
  return (
    <div className="flex flex-col gap-2 border-line border-b bg-bg px-3 py-2">
      <div className="flex flex-col gap-2 md:flex-row md:items-center">
        <h1 className="text-lg font-semibold md:w-16">Runs</h1>
        <form role="search" onSubmit={submit} className="relative min-w-0 flex-1">
          <Icon name="search" className="absolute top-1.5 left-2 text-text-3" />
          <input
            ref={input}
            value={text}
            onChange={(event) => setText(event.target.value)}
            onBlur={() => submit()}
            onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
            aria-label="Filter runs"
            aria-invalid={problem !== ""}
            aria-describedby="query-problem"
            spellCheck={false}
            autoComplete="off"
            placeholder="Filter, as status:failed env:staging tag:smoke flow:Checkout since:2h"
            className="mono h-7 w-full rounded-sm border border-control bg-bg pr-2 pl-8 placeholder:text-text-3"
          />
        </form>
        <div role="group" aria-label="Status" className="flex gap-1 overflow-x-auto">
          {quick.map((one) => (
            <button
              key={one.word}
              type="button"
              aria-pressed={query.status === one.status}
              onClick={() => change({ ...query, status: one.status })}
              className={`h-7 rounded-sm px-2 ${query.status === one.status ? "bg-selected font-medium text-text" : "text-text-2 hover:bg-hover hover:text-text"}`}
            >
              {one.word}
            </button>
          ))}
        </div>
      </div>
      <p id="query-problem" role="alert" className={problem === "" ? "sr-only" : "text-failed-text"}>
        {problem}
      </p>
    </div>
  );
}
