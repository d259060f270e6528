import { Link } from "@tanstack/react-router";
import { type FormEvent, type RefObject, useEffect, useState } from "react";
import { primaryLook } from "../../components/button";
import { Choice } from "../../components/choice";
import { Icon } from "../../components/icon";
import { parseQuery, printQuery, type RunQuery } from "../../lib/query-text";

const quick = [
  { value: undefined, word: "All" },
  { value: "failed", word: "Failed" },
  { value: "errored", word: "Errored" },
  { value: "active", word: "Active" },
  { value: "passed", word: "Passed" },
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
        <div className="flex items-center gap-2">
          <Choice label="Status" options={quick} value={query.status} choose={(status) => change({ ...query, status })} />
          <Link to="/runs/queue" className={`${primaryLook} ml-auto`}>
            <Icon name="plus" /> <span className="hidden sm:inline md:hidden xl:inline">Queue a run</span>
            <span className="sm:hidden md:inline xl:hidden">Queue</span>
          </Link>
        </div>
      </div>
      <p id="query-problem" role="alert" className={problem === "" ? "sr-only" : "text-failed-text"}>
        {problem}
      </p>
    </div>
  );
}
