import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { DropdownMenu } from "radix-ui";
import { type FormEvent, useState } from "react";
import { Button } from "../../components/button";
import { Dialog } from "../../components/dialog";
import { Icon } from "../../components/icon";
import type { Run } from "../../gen/testmesh/api/v1/record_pb";
import { runs } from "../../lib/api";
import { freshKey } from "../../lib/fresh-key";
import { problemOf } from "../../lib/problem";
import type { Recording } from "../../lib/recording";
import { useShortcuts } from "../../lib/shortcuts";
import { hasEnded } from "../../lib/status";

interface Again {
  runId?: string;
  from?: string;
  failed?: boolean;
}

// expansion is how long the runs of a new batch are waited for before the list is shown.
const expansion = 5_000;

// again queues a batch, and finds its run where it has one alone.
async function again(run: Run, what: Again): Promise<string> {
  const { batch } = await runs.rerun({ batchId: run.batchId, ...what, idempotencyKey: freshKey() });
  const until = Date.now() + expansion;
  while (batch !== undefined && what.runId !== undefined && Date.now() < until) {
    const made = await runs.listRuns({ batchId: batch.id, pageSize: 2 });
    const [only] = made.runs;
    if (only !== undefined) return only.id;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return "";
}

// Actions are what can be done with a run: cancel it, or run it again.
export function Actions({ run, step, recording }: { run: Run; step: string; recording: Recording }) {
  const navigate = useNavigate();
  const [asking, setAsking] = useState(false);
  const rerun = useMutation({
    mutationFn: (what: Again) => again(run, what),
    onSuccess: (id) => void (id === "" ? navigate({ to: "/runs" }) : navigate({ to: "/runs/$id", params: { id } })),
  });
  const ended = hasEnded(run.status);
  const chosen = recording.steps.get(step);
  // Only a step of the flow itself can be begun with: what lies in it has its round.
  const from = chosen !== undefined && chosen.phase === "steps" ? (chosen.path[0]?.replace(/\[\d+\]$/, "") ?? "") : "";
  useShortcuts("The run", ended ? [{ keys: "R", does: "Run it again", run: () => rerun.mutate({ runId: run.id }) }] : []);
  const item = "flex h-8 items-center rounded-sm px-2 outline-none data-[highlighted]:bg-selected data-[disabled]:text-text-3";
  return (
    <span className="flex flex-wrap items-center justify-end gap-2">
      {rerun.error !== null && (
        <span role="alert" className="text-failed-text">
          {problemOf(rerun.error).title}
        </span>
      )}
      {!ended && (
        <Button kind="danger" disabled={run.cancelling} onClick={() => setAsking(true)}>
          {run.cancelling ? "Cancelling…" : "Cancel"}
        </Button>
      )}
      <span className="flex">
        <Button disabled={!ended || rerun.isPending} onClick={() => rerun.mutate({ runId: run.id })} className="rounded-r-none">
          {rerun.isPending ? "Queueing…" : "Run again"}
        </Button>
        <DropdownMenu.Root modal={false}>
          <DropdownMenu.Trigger asChild>
            <Button aria-label="More ways to run again" className="-ml-px rounded-l-none px-1" disabled={rerun.isPending}>
              <Icon name="chevron" className="rotate-90" />
            </Button>
          </DropdownMenu.Trigger>
          <DropdownMenu.Content align="end" sideOffset={4} className="z-20 min-w-56 rounded-md border border-line bg-raised p-1 shadow-overlay">
            <DropdownMenu.Item className={item} disabled={!ended || from === ""} onSelect={() => rerun.mutate({ runId: run.id, from })}>
              From step {from === "" ? "… (choose one)" : from}
            </DropdownMenu.Item>
            <DropdownMenu.Item className={item} onSelect={() => rerun.mutate({ failed: true })}>
              What did not pass of its batch
            </DropdownMenu.Item>
            <DropdownMenu.Item className={item} onSelect={() => rerun.mutate({})}>
              All of its batch
            </DropdownMenu.Item>
          </DropdownMenu.Content>
        </DropdownMenu.Root>
      </span>
      {asking && <CancelDialog run={run} close={() => setAsking(false)} />}
    </span>
  );
}

function CancelDialog({ run, close }: { run: Run; close: () => void }) {
  const [reason, setReason] = useState("");
  const cancel = useMutation({ mutationFn: () => runs.cancel({ runIds: [run.id], reason, idempotencyKey: freshKey() }), onSuccess: close });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    cancel.mutate();
  };
  return (
    <Dialog title={`Cancel ${run.spec?.flow ?? "the run"}`} close={close}>
      <form onSubmit={submit} className="flex flex-col gap-3">
        <p className="text-text-2">What runs is stopped; teardown and clean-up still run.</p>
        <label className="flex flex-col gap-1">
          Why (others see it)
          <input
            value={reason}
            maxLength={500}
            onChange={(event) => setReason(event.target.value)}
            className="h-8 rounded-sm border border-control bg-bg px-2"
          />
        </label>
        {cancel.error !== null && (
          <p role="alert" className="text-failed-text">
            {problemOf(cancel.error).title}
          </p>
        )}
        <span className="flex justify-end gap-2">
          <Button onClick={close}>Let it run</Button>
          <Button kind="danger" type="submit" disabled={cancel.isPending}>
            Cancel the run
          </Button>
        </span>
      </form>
    </Dialog>
  );
}
