import { useQuery } from "@tanstack/react-query";
import { DiffView } from "../../components/diff-view";
import { Notice } from "../../components/notice";
import type { GetRunSourceResponse } from "../../gen/testmesh/api/v1/api_pb";
import type { BundleFile, Run } from "../../gen/testmesh/api/v1/record_pb";
import { runs } from "../../lib/api";
import type { Json } from "../../lib/json";
import { problemOf } from "../../lib/problem";
import { useRecorded } from "../../lib/recording-archive";
import { diffJson } from "../../lib/recording-diff";
import { ChangesTable } from "./changes-table";

// OriginsView is what differs in what two runs were made of: what they were queued with,
// their flow, and the files beside it. A recording does not keep it.
export function OriginsView({ before, after }: { before: Run; after: Run }) {
  const recorded = useRecorded() !== null;
  const [then, now] = [useOrigin(before, !recorded), useOrigin(after, !recorded)];
  const failed = then.error ?? now.error;
  if (failed !== null) return <Notice problem={{ ...problemOf(failed), hint: "What one of the two was made of cannot be read." }} />;
  if (then.data === undefined || now.data === undefined) return null;
  const { changes, more } = diffJson(inputsOf(then.data), inputsOf(now.data));
  const files = changedFiles(then.data, now.data);
  return (
    <>
      {changes.length > 0 && (
        <section>
          <h2 className="mb-0.5 font-semibold">Inputs</h2>
          <ChangesTable changes={changes} more={more} heads={["Where", "Then", "Now"]} />
        </section>
      )}
      {then.data.text !== now.data.text && (
        <section>
          <h2 className="mb-0.5 font-semibold">The flow</h2>
          <div className="panel">
            <DiffView before={then.data.text} after={now.data.text} label="What changed in the flow" />
          </div>
        </section>
      )}
      {files.length > 0 && (
        <section>
          <h2 className="mb-0.5 font-semibold">Files beside it</h2>
          <ul aria-label="Files that differ" className="mono">
            {files.map(([path, word]) => (
              <li key={path} className="flex gap-3">
                <span className="min-w-0 truncate">{path}</span>
                <span className="text-text-2">{word}</span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

// What a run was made of never changes.
function useOrigin(run: Run, enabled: boolean) {
  return useQuery({
    queryKey: ["run-source", run.id],
    queryFn: () => runs.getRunSource({ id: run.id }),
    enabled,
    staleTime: Number.POSITIVE_INFINITY,
  });
}

// inputsOf are the values that the batch was queued with, by name.
function inputsOf({ queued }: GetRunSourceResponse): Json {
  return { ...queued?.vars, ...queued?.inputs };
}

function changedFiles(then: GetRunSourceResponse, now: GetRunSourceResponse): [path: string, word: string][] {
  const sums = (files: BundleFile[]) => new Map(files.map((one) => [one.path, one.sha256]));
  const [before, after] = [sums(then.files), sums(now.files)];
  const word = (path: string) => (!before.has(path) ? "new" : !after.has(path) ? "gone" : before.get(path) === after.get(path) ? "" : "changed");
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((path) => path !== now.file && path !== then.file)
    .sort()
    .map((path): [string, string] => [path, word(path)])
    .filter(([, said]) => said !== "");
}
