import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "../../components/button";
import { Icon } from "../../components/icon";
import { fetchBlob } from "../../lib/api";
import type { StoredFile } from "../../lib/events";
import { bytes } from "../../lib/format";
import { problemOf } from "../../lib/problem";
import type { Recording } from "../../lib/recording";
import { useRecorded } from "../../lib/recording-archive";
import { FilePreview, kindOf } from "./file-preview";
import type { RunView } from "./run-view";

// FilesView lists what the run stored. Pictures and texts can be looked at as data; every
// file can be saved, and none is opened as a page: what a system answered is no page of ours.
export function FilesView({ recording, go }: { recording: Recording; go: (view: RunView) => void }) {
  if (recording.files.length === 0) return <p className="p-4 text-text-2">This run stored no files.</p>;
  return (
    <ul className="overflow-auto p-3">
      {recording.files.map((file) => (
        <li key={`${file.step} ${file.name} ${file.sha256}`} className="flex items-start gap-3 border-line border-b py-1">
          <FileRow file={file} />
          <Button kind="quiet" onClick={() => go({ view: undefined, step: file.step })}>
            {recording.steps.get(file.step)?.name}
          </Button>
        </li>
      ))}
    </ul>
  );
}

export function FileRow({ file }: { file: StoredFile }) {
  const recorded = useRecorded();
  const [open, setOpen] = useState(false);
  const load = () => (recorded === null ? fetchBlob(file.sha256) : recorded.store.file(file.sha256));
  const save = useMutation({
    mutationFn: async () => {
      const address = URL.createObjectURL(await load());
      const link = document.createElement("a");
      link.href = address;
      link.download = file.name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
    },
  });
  return (
    <div className="flex min-w-0 flex-1 flex-col gap-2">
      <span className="flex min-w-0 items-center gap-2">
        <span className="mono min-w-0 truncate">{file.name}</span>
        <span className="shrink-0 text-text-2">
          {bytes(file.size)} {file.media_type}
        </span>
        {save.error !== null && (
          <span role="alert" className="text-failed-text">
            {problemOf(save.error).title}
          </span>
        )}
        <span className="ml-auto flex gap-1">
          {kindOf(file) !== "" && (
            <Button aria-expanded={open} onClick={() => setOpen(!open)} aria-label={`${open ? "Hide" : "Look at"} ${file.name}`}>
              {open ? "Hide" : "Look"}
            </Button>
          )}
          <Button disabled={save.isPending} onClick={() => save.mutate()} aria-label={`Save ${file.name}`}>
            <Icon name="down" /> Save
          </Button>
        </span>
      </span>
      {open && <FilePreview file={file} load={load} />}
    </div>
  );
}
