import { useId, useRef, useState } from "react";
import { Button } from "../../components/button";
import { Icon } from "../../components/icon";
import { bytes, plural } from "../../lib/format";
import { brief } from "../../lib/json";
import { acceptedFiles, mostBytes, type RowsRead } from "../../lib/rows";

const shown = 8;

export interface DataText {
  name: string;
  text: string;
}

// DataFile takes a file of rows, shows its beginning, and says where it is wrong.
export function DataFile({
  data,
  read,
  kept,
  set,
}: {
  data: DataText | null;
  read: RowsRead | null;
  kept: boolean;
  set: (data: DataText | null) => void;
}) {
  const input = useRef<HTMLInputElement>(null);
  const help = useId();
  const [over, setOver] = useState(false);
  const [refused, setRefused] = useState("");
  const take = async (file: File | undefined) => {
    if (file === undefined) return;
    const large = file.size > mostBytes;
    setRefused(
      large ? `${file.name} has ${bytes(file.size)}; at most ${bytes(mostBytes)} go along. Larger ones belong into the project: testmesh push.` : "",
    );
    if (!large) set({ name: file.name, text: await file.text() });
  };
  const problem = refused || (read?.problem ?? "");
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the button in it is for the keyboard; a file may be dropped too
    <div
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        void take(event.dataTransfer.files[0]);
      }}
      className={`flex flex-col gap-2 p-3 ${over ? "bg-selected" : ""}`}
    >
      <div className="flex flex-wrap items-center gap-2">
        <input
          ref={input}
          type="file"
          accept={acceptedFiles}
          tabIndex={-1}
          aria-label="Data file"
          aria-describedby={help}
          className="sr-only"
          onChange={(event) => {
            void take(event.target.files?.[0]);
            event.target.value = ""; // the same file, changed, can be chosen again
          }}
        />
        <Button onClick={() => input.current?.click()}>{data === null ? "Choose a file" : "Another file"}</Button>
        {data !== null && (
          <>
            <span className="min-w-0 truncate font-medium">{data.name}</span>
            {read?.rows !== undefined && <span className="text-text-2">{plural(read.rows.length, "row")}: one run each</span>}
            <Button kind="quiet" onClick={() => set(null)} aria-label={`Leave out ${data.name}`}>
              <Icon name="close" /> Leave out
            </Button>
          </>
        )}
      </div>
      <p id={help} role={problem === "" ? undefined : "alert"} className={problem === "" ? "text-text-2 text-xs" : "text-failed-text"}>
        {problem || (data === null ? "CSV, JSON, JSONL or YAML, up to 4 MiB; or drop it here. Its rows take the place of those of the flows." : "")}
        {problem === "" && data !== null && !kept && "It is too large to outlive a reload of this page."}
      </p>
      {read?.rows !== undefined && <Preview columns={read.columns ?? []} rows={read.rows} />}
    </div>
  );
}

function Preview({ columns, rows }: { columns: string[]; rows: Record<string, unknown>[] }) {
  const cell = "max-w-56 truncate border-line border-b px-2 py-1 text-left font-normal";
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <div className="overflow-x-auto rounded-sm border border-line" tabIndex={0} role="region" aria-label="The first rows">
      <table className="w-full border-collapse">
        <thead className="bg-canvas text-text-2 text-xs">
          <tr>
            <th scope="col" className={`${cell} w-10`}>
              Row
            </th>
            {columns.map((column) => (
              <th key={column} scope="col" className={cell}>
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="mono">
          {rows.slice(0, shown).map((row, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: the rows of a file have no other name
            <tr key={i}>
              <td className={`${cell} text-text-3`}>{i + 1}</td>
              {columns.map((column) => (
                <td key={column} className={cell} title={typeof row[column] === "string" ? row[column] : undefined}>
                  <bdi>{typeof row[column] === "string" ? row[column] : row[column] === undefined ? "" : brief(row[column], 60)}</bdi>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > shown && <p className="px-2 py-1 text-text-2 text-xs">and {plural(rows.length - shown, "more row")}</p>}
    </div>
  );
}
