import { useMemo, useState } from "react";
import { Found } from "../../components/ansi-text";
import { Button } from "../../components/button";
import { CopyButton } from "../../components/copy-button";
import { JsonView } from "../../components/json-view";
import { plural } from "../../lib/format";
import { type Json, parseBody, printJson } from "../../lib/json";

// rawLength is how much of a body is laid out at once: a browser needs seconds for more.
const rawLength = 200_000;

// BodyView shows a body as data: as a tree where it is JSON, as text else. Markup of it
// is text, whatever it is.
export function BodyView({ body, name }: { body: Json; name: string }) {
  const text = typeof body === "string" ? body : printJson(body);
  const data = useMemo(() => (typeof body === "string" ? parseBody(body) : body), [body]);
  const [raw, setRaw] = useState(false);
  const [find, setFind] = useState("");
  const [length, setLength] = useState(rawLength);
  const asText = raw || data === undefined || find !== "";
  const hits = find === "" ? 0 : text.toLowerCase().split(find.toLowerCase()).length - 1;
  return (
    <div className="panel">
      <div className="flex flex-wrap items-center gap-1 border-line border-b p-1">
        {data !== undefined && (
          <>
            <Button kind="quiet" aria-pressed={!asText} onClick={() => setRaw(false)} className={asText ? "" : "bg-selected text-text"}>
              Tree
            </Button>
            <Button kind="quiet" aria-pressed={asText} onClick={() => setRaw(true)} className={asText ? "bg-selected text-text" : ""}>
              Raw
            </Button>
          </>
        )}
        <input
          value={find}
          onChange={(event) => setFind(event.target.value)}
          placeholder="Search"
          aria-label={`Search in the body of the ${name}`}
          className="h-7 w-32 rounded-sm border border-control bg-bg px-2 placeholder:text-text-3"
        />
        <span role="status" className="text-text-2">
          {find !== "" && plural(hits, "hit")}
        </span>
        <span className="ml-auto">
          <CopyButton text={() => text} label={`Copy the body of the ${name}`} />
        </span>
      </div>
      {asText ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        <pre tabIndex={0} dir="ltr" className="mono max-h-[60dvh] overflow-auto whitespace-pre-wrap break-words p-2 [unicode-bidi:isolate]">
          <Found text={text.slice(0, length)} find={find} />
        </pre>
      ) : (
        <JsonView value={data} />
      )}
      {asText && text.length > length && (
        <Button kind="quiet" onClick={() => setLength(length + 5 * rawLength)}>
          {plural(text.length - length, "character")} more
        </Button>
      )}
    </div>
  );
}
