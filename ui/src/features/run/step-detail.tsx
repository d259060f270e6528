import { CopyButton } from "../../components/copy-button";
import { Glyph, StatusMark } from "../../components/status-mark";
import { Tabs } from "../../components/tabs";
import { duration } from "../../lib/format";
import { groupStatus, type Recording, type Step } from "../../lib/recording";
import { markOf } from "../../lib/status";
import { ExchangeView } from "./exchange-view";
import type { RunView } from "./run-view";
import { StepResult } from "./step-result";
import { VariablesView } from "./variables-view";

interface Props {
  step: Step;
  recording: Recording;
  view: RunView;
  go: (view: RunView) => void;
}

// StepDetail is one step: what was judged, what was said on the wire, what it gave.
export function StepDetail({ step, recording, view, go }: Props) {
  const status = groupStatus(recording, step);
  const number = Number(view.try ?? step.tries.at(-1)?.number ?? 0);
  const one = step.tries.find((candidate) => candidate.number === number) ?? step.tries.at(-1);
  const exchanges = one?.exchanges.length ?? 0;
  const tab = view.tab ?? "result";
  return (
    <div className="flex min-h-full flex-col">
      <header className="px-3 pt-2.5 pb-1">
        <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
          <span className="flex min-w-0 items-center gap-1">
            <h2 className="min-w-0 break-words text-base font-semibold">{step.name}</h2>
            <CopyButton text={() => location.href} label="Copy a link to this step" />
          </span>
          <StatusMark mark={markOf(status)} word={status} />
          {step.durationMs !== undefined && <span className="text-text-2">{duration(step.durationMs)}</span>}
          <span className="mono text-text-2">{step.action}</span>
          {step.line > 0 && (
            <span className="mono break-all text-text-2">
              {step.file}:{step.line}
            </span>
          )}
        </div>
        {step.reason !== "" && <p className="mt-1 text-text-2">{step.reason}</p>}
        {step.ignored && <p className="mt-1 text-text-2">Its failure does not count: on_failure is ignore.</p>}
        {step.tries.length > 1 && (
          <div role="group" aria-label="Tries" className="mt-2 flex flex-wrap gap-1">
            {step.tries.map((candidate) => (
              <button
                key={candidate.number}
                type="button"
                aria-pressed={candidate === one}
                onClick={() => go({ try: String(candidate.number), step: step.key })}
                className={`flex h-7 items-center gap-1.5 rounded-sm border px-2 ${candidate === one ? "border-accent bg-selected" : "border-line hover:bg-hover"}`}
              >
                <Glyph mark={markOf(candidate.status)} /> try {candidate.number}
                {candidate.ended !== undefined && <span className="text-text-2">{duration(candidate.ended - candidate.began)}</span>}
              </button>
            ))}
          </div>
        )}
      </header>
      <Tabs
        label="The step"
        at={tab}
        choose={(id) => go({ tab: id === "result" ? undefined : id, step: step.key })}
        tabs={[
          { id: "result", label: "Result", count: one?.assertions.length },
          { id: "exchange", label: "Exchange", count: exchanges },
          { id: "variables", label: "Variables" },
        ]}
      />
      <div role="tabpanel" aria-label={tab} className="p-3">
        {tab === "result" && <StepResult step={step} one={one} />}
        {tab === "exchange" && <ExchangeView list={one?.exchanges ?? []} />}
        {tab === "variables" && <VariablesView step={step} />}
      </div>
    </div>
  );
}
