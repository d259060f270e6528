import { Value } from "../../components/json-view";
import { StatusMark } from "../../components/status-mark";
import type { Assertion } from "../../lib/events";
import { ChangesTable } from "./changes-table";

// AssertionView is one claim, with what each part of it was where it did not hold.
export function AssertionView({ assertion }: { assertion: Assertion }) {
  const mark = assertion.passed ? "passed" : assertion.errored ? "errored" : "failed";
  if (assertion.passed) {
    return (
      <div className="flex items-start gap-2">
        <StatusMark mark={mark} word={mark} quiet />
        <Claim assertion={assertion} />
      </div>
    );
  }
  return (
    <div className={`rounded-md border-l-4 p-3 ${mark === "failed" ? "border-failed bg-failed-bg" : "border-errored bg-errored-bg"}`}>
      <div className="flex items-start gap-2 font-medium">
        <StatusMark mark={mark} word={mark} quiet />
        <Claim assertion={assertion} />
      </div>
      {assertion.message !== undefined && <p className="mt-1 whitespace-pre-wrap break-words pl-5.5">{assertion.message}</p>}
      <Operands assertion={assertion} />
      <Diff assertion={assertion} />
    </div>
  );
}

function Claim({ assertion }: { assertion: Assertion }) {
  return (
    <span className="min-w-0 flex-1">
      <code className="whitespace-pre-wrap break-words">{assertion.expression}</code>
      {assertion.implicit && <span className="ml-2 text-text-2 text-xs">expected by the action</span>}
      {assertion.line !== undefined && <span className="ml-2 text-text-2 text-xs">line {assertion.line}</span>}
    </span>
  );
}

function Operands({ assertion }: { assertion: Assertion }) {
  const sides = [
    ...("expected" in assertion ? [{ text: "expected", value: assertion.expected, missing: undefined, error: undefined, word: true }] : []),
    ...("actual" in assertion && !assertion.diff && !assertion.operands
      ? [{ text: "got", value: assertion.actual, missing: undefined, error: undefined, word: true }]
      : []),
    ...(assertion.operands ?? []).map((one) => ({ ...one, word: false })),
  ];
  if (sides.length === 0) return null;
  return (
    <dl className="mt-2 grid grid-cols-[max-content_minmax(0,1fr)] gap-x-4 gap-y-1 pl-5.5">
      {sides.map((side) => (
        <div key={`${side.word} ${side.text}`} className="contents">
          <dt className={side.word ? "text-text-2" : "mono text-text-2"}>{side.text}</dt>
          <dd className="min-w-0">
            {side.missing || side.error ? <span className="text-failed-text">{side.missing ?? side.error}</span> : <Value value={side.value} />}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Diff({ assertion }: { assertion: Assertion }) {
  if (assertion.diff === undefined) return null;
  return (
    <div className="mt-2 pl-5.5">
      <ChangesTable changes={assertion.diff} more={assertion.diff_more ?? 0} heads={["Where", "Expected", "Got"]} />
    </div>
  );
}
