import { JsonView, Value } from "../../components/json-view";
import type { Used } from "../../lib/events";
import type { Step } from "../../lib/recording";

// VariablesView is what a step gave, and what it read.
export function VariablesView({ step }: { step: Step }) {
  const nothing = step.outputs === undefined && step.result === undefined && step.resultPreview === undefined && step.values.length === 0;
  return (
    <div className="flex flex-col gap-4">
      {step.outputs !== undefined && (
        <section>
          <h3 className="mb-1 font-semibold">Outputs</h3>
          <dl className="grid grid-cols-[max-content_minmax(0,1fr)] gap-x-4 gap-y-1">
            {Object.entries(step.outputs).map(([name, value]) => (
              <div key={name} className="contents">
                <dt className="mono text-text-2">{name}</dt>
                <dd className="min-w-0">
                  <Value value={value} />
                </dd>
              </div>
            ))}
          </dl>
        </section>
      )}
      {step.values.length > 0 && <UsedValues list={step.values} />}
      {step.result !== undefined && (
        <section>
          <h3 className="mb-1 font-semibold">Result</h3>
          <div className="panel">
            <JsonView value={step.result} />
          </div>
        </section>
      )}
      {step.resultPreview !== undefined && (
        <section>
          <h3 className="mb-1 font-semibold">Result, its beginning</h3>
          <p className="mb-1 text-text-2">The whole of it is among the files.</p>
          <pre className="mono panel max-h-96 overflow-auto whitespace-pre-wrap break-words p-2">{step.resultPreview}</pre>
        </section>
      )}
      {nothing && <p className="text-text-2">Nothing is kept of what it read or gave.</p>}
    </div>
  );
}

// UsedValues are the names that a failed step read, with where each came from.
export function UsedValues({ list }: { list: Used[] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section tabIndex={0} aria-label="Values in play" className="overflow-x-auto">
      <h3 className="mb-1 font-semibold">Values in play</h3>
      <table className="w-full border-collapse text-left">
        <tbody>
          {list.map((used) => (
            <tr key={used.name} className="align-top">
              <th scope="row" className="mono border-line border-b py-1 pr-4">
                {used.name}
              </th>
              <td className="border-line border-b py-1 pr-4">
                <Value value={used.value} />
              </td>
              <td className="border-line border-b py-1 text-text-2">{used.origin}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
