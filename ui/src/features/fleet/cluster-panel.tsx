import { Ago } from "../../components/clock";
import { Panel } from "../../components/panel";
import { Glyph } from "../../components/status-mark";
import type { GetClusterResponse } from "../../gen/testmesh/api/v1/api_pb";
import { millis, shortId } from "../../lib/format";

// ClusterPanel is the nodes of the control plane: who leads, and how far each is.
export function ClusterPanel({ cluster }: { cluster: GetClusterResponse }) {
  const cell = "border-line border-b px-3 py-1.5 text-left font-normal whitespace-nowrap";
  return (
    <Panel title="Control plane" side={`version ${cluster.version}`}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Nodes">
        <table className="w-full border-collapse">
          <thead className="text-text-2 text-xs">
            <tr>
              {["Node", "Role", "Address", "Applied", "Version", "Last contact"].map((head) => (
                <th key={head} scope="col" className={cell}>
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {cluster.members.map((member) => (
              <tr key={member.id}>
                <th scope="row" className={cell}>
                  <span className="inline-flex items-center gap-2">
                    <Glyph mark={member.reachable ? "passed" : "failed"} />
                    <span className="sr-only">{member.reachable ? "reachable" : "not reachable"}</span>
                    <span className="mono">{shortId(member.id)}</span>
                  </span>
                </th>
                <td className={cell}>{member.leader ? "leader" : member.voter ? "follower" : "joining, no vote yet"}</td>
                <td className={`${cell} mono`}>{member.apiAddress}</td>
                <td className={cell}>{member.appliedIndex.toLocaleString("en")}</td>
                <td className={cell}>{member.version}</td>
                <td className={cell}>{member.leader ? "" : <Ago at={millis(member.lastContact)} />}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="px-3 py-2 text-text-2">
        {cluster.lastSnapshot === undefined ? (
          "No snapshot yet."
        ) : (
          <>
            Last snapshot <Ago at={millis(cluster.lastSnapshot)} />.
          </>
        )}
      </p>
    </Panel>
  );
}
