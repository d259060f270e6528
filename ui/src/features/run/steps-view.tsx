import { useEffect } from "react";
import { Loading } from "../../components/notice";
import type { Run } from "../../gen/testmesh/api/v1/record_pb";
import { firstFailure, type Recording } from "../../lib/recording";
import { useShortcuts } from "../../lib/shortcuts";
import { hasEnded } from "../../lib/status";
import type { RunView } from "./run-view";
import { StepDetail } from "./step-detail";
import { StepTree } from "./step-tree";

interface Props {
  run: Run;
  recording: Recording;
  version: number;
  loaded: boolean;
  view: RunView;
  go: (view: RunView) => void;
}

// StepsView is the tree of steps with its times, and beside it the step that is looked
// at: at first the one that failed.
export function StepsView({ run, recording, version, loaded, view, go }: Props) {
  const chosen = view.step ?? (firstFailure(recording) || recording.roots[0] || "");
  const step = recording.steps.get(chosen);
  const choose = (key: string) => go({ step: key, tab: undefined, try: undefined });
  const failures = () => [...recording.steps.values()].filter((one) => one.status === "failed" || one.status === "errored");
  const move = (by: number) => {
    const list = failures();
    const at = list.findIndex((one) => one.key === chosen);
    const next = list[(at + by + list.length) % list.length];
    if (next !== undefined) choose(next.key);
  };
  useShortcuts("Steps", [
    { keys: "]", does: "Next failure", run: () => move(1) },
    { keys: "[", does: "Previous failure", run: () => move(-1) },
  ]);
  // On a telephone the step lies below the tree: it is brought into sight when chosen.
  useEffect(() => {
    if (view.step !== undefined && matchMedia("(max-width: 899px)").matches) document.getElementById("step")?.scrollIntoView({ block: "start" });
  }, [view.step]);

  if (recording.steps.size === 0) return <Nothing run={run} loaded={loaded} />;
  return (
    <div className="flex min-h-0 flex-1 flex-col overflow-y-auto min-[900px]:flex-row min-[900px]:overflow-hidden">
      <StepTree recording={recording} version={version} chosen={chosen} choose={choose} />
      <section
        id="step"
        aria-label="The step"
        className="min-w-0 flex-1 border-line border-t min-[900px]:overflow-y-auto min-[900px]:border-t-0 min-[900px]:border-l"
      >
        {step !== undefined && <StepDetail key={chosen} step={step} recording={recording} view={view} go={go} />}
      </section>
    </div>
  );
}

function Nothing({ run, loaded }: { run: Run; loaded: boolean }) {
  if (!loaded) return <Loading what="What the run said" />;
  if (!hasEnded(run.status)) return <p className="p-6 text-text-2">Its steps appear here as they begin.</p>;
  // The summary is kept with the run, also where its stream is not.
  if (run.stepSummaries.length === 0) return <p className="p-6 text-text-2">No step of this run began.</p>;
  return (
    <div className="overflow-auto p-3">
      <p className="mb-2 text-text-2">The events of this run are not kept any more. This is what it ended with:</p>
      <ul className="mono">
        {run.stepSummaries.map((one) => (
          <li key={[...one.path, one.phase].join("/")}>
            {one.status} {one.path.join(" / ")} {one.message}
          </li>
        ))}
      </ul>
    </div>
  );
}
