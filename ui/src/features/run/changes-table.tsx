import { Value } from "../../components/json-view";
import type { Change } from "../../lib/events";

// ChangesTable is what differs, path first.
export function ChangesTable({ changes, more, heads }: { changes: Change[]; more: number; heads: [string, string, string] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <div tabIndex={0} role="region" aria-label="Differences" className="overflow-x-auto">
      <table className="w-full border-collapse text-left">
        <thead className="text-text-2 text-xs">
          <tr>
            {heads.map((head) => (
              <th key={head} scope="col" className="border-line border-b py-1 pr-4 font-normal">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {changes.map((change) => (
            <tr key={change.path} className="align-top">
              <th scope="row" className="mono border-line border-b py-1 pr-4 break-all">
                {change.path}
              </th>
              <td className="border-line border-b py-1 pr-4">
                {"expected" in change ? <Value value={change.expected} /> : <em className="text-text-2">nothing</em>}
              </td>
              <td className="border-line border-b py-1 pr-4">
                {"actual" in change ? <Value value={change.actual} /> : <em className="text-text-2">nothing</em>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {more > 0 && <p className="mt-1 text-text-2">and {more} more differences</p>}
    </div>
  );
}
