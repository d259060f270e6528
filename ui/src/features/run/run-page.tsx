import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useEffect } from "react";
import { Loading, Notice } from "../../components/notice";
import { Tabs } from "../../components/tabs";
import { type Run, RunSchema } from "../../gen/testmesh/api/v1/record_pb";
import { useShortcuts } from "../../lib/shortcuts";
import { markOf, runWord } from "../../lib/status";
import { decode, useLive } from "../../lib/use-live";
import { AttemptsView } from "./attempts-view";
import { CompareView } from "./compare-view";
import { FilesView } from "./files-view";
import { LogView } from "./log-view";
import { RunHeader } from "./run-header";
import type { RunView } from "./run-view";
import { StepsView } from "./steps-view";
import { newestAttempt, useRecording } from "./use-recording";
import { Waiting } from "./waiting";

const titles: Record<string, string> = { passed: "✓", failed: "✗", errored: "!", running: "◐" };

export function RunPage() {
  const { id } = useParams({ from: "/runs/$id" });
  const { list, error } = useLive("run", { id });
  if (error !== null && list === null)
    return <Notice problem={{ title: error.message, hint: "It may have been deleted, or the address is not whole.", requestId: "" }} />;
  if (list === null) return <Loading what="The run" />;
  return <Shown key={id} run={decode(RunSchema, list.value)} gone={error?.message ?? ""} />;
}

function Shown({ run, gone }: { run: Run; gone: string }) {
  const view = useSearch({ from: "/runs/$id" });
  const navigate = useNavigate();
  const go = (next: RunView) => void navigate({ to: "/runs/$id", params: { id: run.id }, search: { ...view, ...next }, replace: true });
  const attempt = Number(view.attempt ?? newestAttempt(run)) || 0;
  const { recording, version, loaded, error } = useRecording(run.id, attempt);
  const mark = markOf(runWord[run.status]);
  useEffect(() => {
    document.title = `${titles[mark] ?? "○"} ${run.spec?.flow ?? "Run"} · TestMesh`;
  }, [mark, run.spec?.flow]);
  const at = view.view ?? "steps";
  useShortcuts("The run", [{ keys: "c", does: "Compare with the last pass", run: () => go({ view: "compare", with: undefined }) }]);
  return (
    <div className="flex min-h-0 min-w-0 flex-1 flex-col bg-bg">
      <RunHeader run={run} step={view.step ?? ""} recording={recording} />
      {gone !== "" && <Notice problem={{ title: gone, hint: "What you see is as of before.", requestId: "" }} />}
      <Waiting run={run} />
      <Tabs
        label="The run"
        at={at}
        choose={(id) => go({ view: id === "steps" ? undefined : id, line: undefined })}
        tabs={[
          { id: "steps", label: "Steps", count: recording.steps.size },
          { id: "log", label: "Log", count: recording.log.length },
          { id: "files", label: "Files", count: recording.files.length },
          { id: "attempts", label: "Attempts", count: run.attempts.length },
          { id: "compare", label: "Compare" },
        ]}
      />
      {error !== null && <Notice problem={{ title: error.message, hint: "What the run said cannot be read now.", requestId: "" }} />}
      <div role="tabpanel" aria-label={at} className="flex min-h-0 min-w-0 flex-1 flex-col">
        {at === "steps" && <StepsView run={run} recording={recording} version={version} loaded={loaded || attempt === 0} view={view} go={go} />}
        {at === "log" && <LogView recording={recording} version={version} line={view.line ?? ""} go={go} live={recording.ended === 0} />}
        {at === "files" && <FilesView recording={recording} go={go} />}
        {at === "compare" && <CompareView run={run} recording={recording} version={version} view={view} go={go} />}
        {at === "attempts" && <AttemptsView run={run} at={attempt} go={go} />}
      </div>
    </div>
  );
}
