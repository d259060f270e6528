import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Command } from "cmdk";
import { Dialog } from "../components/dialog";
import { Icon } from "../components/icon";
import { Glyph } from "../components/status-mark";
import { flows, runs } from "../lib/api";
import { shortId } from "../lib/format";
import { markOf, runWord } from "../lib/status";
import { chooseTheme } from "../lib/theme";

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

// Palette goes to a place, or to a run by its flow or id.
export function Palette({ close, shortcuts }: { close: () => void; shortcuts: () => void }) {
  const navigate = useNavigate();
  const recent = useQuery({ queryKey: ["palette"], queryFn: () => runs.listRuns({ pageSize: 100 }) });
  const stored = useQuery({ queryKey: ["palette-flows"], queryFn: () => flows.listFlows({ pageSize: 200 }) });
  const act = (what: () => void) => () => {
    close();
    what();
  };
  const item = "flex h-8 items-center gap-2 rounded-sm px-2 data-[selected=true]:bg-selected";
  const heading =
    "[&_[cmdk-group-heading]]:px-2 [&_[cmdk-group-heading]]:pt-2 [&_[cmdk-group-heading]]:pb-1 [&_[cmdk-group-heading]]:text-xs [&_[cmdk-group-heading]]:text-text-2";
  return (
    <Dialog title="Go to, or do" close={close} wide>
      <Command label="Go to, or do" loop>
        <Command.Input
          data-first
          placeholder="A screen, a flow, the id of a run"
          className="h-9 w-full rounded-sm border border-control bg-bg px-3"
          onKeyDown={(event) => {
            const id = event.currentTarget.value.trim();
            if (event.key === "Enter" && uuid.test(id)) act(() => void navigate({ to: "/runs/$id", params: { id } }))();
          }}
        />
        <Command.List className="mt-2 max-h-80 overflow-y-auto">
          <Command.Empty className="p-3 text-text-2">Nothing is called that. The id of a run opens it.</Command.Empty>
          <Command.Group heading="Screens" className={heading}>
            <Command.Item className={item} onSelect={act(() => void navigate({ to: "/runs" }))}>
              Runs
            </Command.Item>
            <Command.Item className={item} onSelect={act(() => void navigate({ to: "/runs", search: { status: "failed,errored" } }))}>
              Runs that did not pass
            </Command.Item>
            <Command.Item className={item} onSelect={act(() => void navigate({ to: "/runs", search: { status: "active" } }))}>
              Runs that wait or run
            </Command.Item>
            <Command.Item className={item} onSelect={act(() => void navigate({ to: "/flows" }))}>
              Flows
            </Command.Item>
            <Command.Item className={item} onSelect={act(() => void navigate({ to: "/fleet" }))}>
              Fleet: agents, queue, cluster
            </Command.Item>
          </Command.Group>
          <Command.Group heading="Do" className={heading}>
            <Command.Item className={item} onSelect={act(() => void navigate({ to: "/runs/queue" }))}>
              Queue a run
            </Command.Item>
            <Command.Item className={item} onSelect={act(() => chooseTheme("light"))}>
              Light theme
            </Command.Item>
            <Command.Item className={item} onSelect={act(() => chooseTheme("dark"))}>
              Dark theme
            </Command.Item>
            <Command.Item className={item} onSelect={() => shortcuts()}>
              Shortcuts
            </Command.Item>
          </Command.Group>
          <Command.Group heading="Flows" className={heading}>
            {stored.data?.flows.map((flow) => (
              <Command.Item
                key={`${flow.file} ${flow.index}`}
                value={`${flow.name} ${flow.file} ${flow.index}`}
                className={item}
                onSelect={act(
                  () => void navigate({ to: "/flows/show", search: { file: flow.file, index: flow.index === 0 ? undefined : String(flow.index) } }),
                )}
              >
                <Icon name="flows" className="text-text-3" />
                <span className="min-w-0 flex-1 truncate">{flow.name}</span>
                <span className="mono hidden truncate text-text-2 sm:inline">{flow.file}</span>
              </Command.Item>
            ))}
          </Command.Group>
          <Command.Group heading="Newest runs" className={heading}>
            {recent.data?.runs.map((run) => (
              <Command.Item
                key={run.id}
                value={`${run.spec?.flow} ${run.spec?.label} ${run.id}`}
                className={item}
                onSelect={act(() => void navigate({ to: "/runs/$id", params: { id: run.id } }))}
              >
                <Glyph mark={markOf(runWord[run.status])} />
                <span className="min-w-0 flex-1 truncate">
                  {run.spec?.flow} <span className="text-text-2">{run.spec?.label}</span>
                </span>
                <span className="text-text-2">{runWord[run.status]}</span>
                <span className="mono text-text-2">{shortId(run.id)}</span>
              </Command.Item>
            ))}
          </Command.Group>
        </Command.List>
      </Command>
    </Dialog>
  );
}
