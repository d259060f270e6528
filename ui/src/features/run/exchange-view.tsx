import { useState } from "react";
import { CopyButton } from "../../components/copy-button";
import { JsonView } from "../../components/json-view";
import type { Exchange } from "../../lib/events";
import { duration } from "../../lib/format";
import { isObject, type Json } from "../../lib/json";
import { BodyView } from "./body-view";

// ExchangeView is what went over the wire in a try, one exchange at a time.
export function ExchangeView({ list }: { list: Exchange[] }) {
  const [at, setAt] = useState(0);
  const one = list[Math.min(at, list.length - 1)];
  if (one === undefined) return <p className="text-text-2">Nothing went over the wire here.</p>;
  return (
    <div className="flex flex-col gap-4">
      {list.length > 1 && (
        <select
          aria-label="Exchange"
          value={at}
          onChange={(event) => setAt(Number(event.target.value))}
          className="h-8 max-w-full rounded-sm border border-control bg-bg px-2"
        >
          {list.map((exchange, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: exchanges only come after one another
            <option key={i} value={i}>
              {i + 1}. {exchange.summary}
            </option>
          ))}
        </select>
      )}
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <span className="mono min-w-0 break-all font-medium">{one.summary}</span>
        <span className="text-text-2">{one.protocol}</span>
        {one.curl !== undefined && <CopyButton text={() => one.curl ?? ""}>Copy as curl</CopyButton>}
      </div>
      <Timings timings={one.timings ?? {}} />
      <Side title="Request" value={one.request} />
      <Side title="Response" value={one.response} />
    </div>
  );
}

function Timings({ timings }: { timings: Record<string, number> }) {
  const parts = Object.entries(timings).filter(([, ms]) => Number(ms) > 0);
  if (parts.length === 0) return null;
  return (
    <dl className="flex flex-wrap gap-x-4 gap-y-1 text-text-2">
      {parts.map(([name, ms]) => (
        <div key={name} className="flex gap-1.5">
          <dt>{name.replaceAll("_", " ")}</dt>
          <dd className="text-text">{duration(Number(ms))}</dd>
        </div>
      ))}
    </dl>
  );
}

// Side is a request or a response: headers as a list, a body by its kind, the rest as
// data, because every protocol has its own.
function Side({ title, value }: { title: string; value: Json | undefined }) {
  if (value === undefined) return null;
  if (!isObject(value)) {
    return (
      <section>
        <h3 className="mb-1 font-semibold">{title}</h3>
        <div className="panel">
          <JsonView value={value} />
        </div>
      </section>
    );
  }
  const { headers, body, ...rest } = value;
  return (
    <section className="flex flex-col gap-2">
      <h3 className="font-semibold">{title}</h3>
      {Object.keys(rest).length > 0 && (
        <div className="panel">
          <JsonView value={rest} />
        </div>
      )}
      {isObject(headers) && Object.keys(headers).length > 0 && (
        <dl className="panel mono grid grid-cols-[max-content_minmax(0,1fr)] gap-x-4 gap-y-0.5 p-2">
          {Object.entries(headers).map(([name, header]) => (
            <div key={name} className="contents">
              <dt className="text-text-2">{name}</dt>
              <dd className="min-w-0 break-all">{typeof header === "string" ? header : JSON.stringify(header)}</dd>
            </div>
          ))}
        </dl>
      )}
      {body !== undefined && body !== null && body !== "" && <BodyView body={body} name={title.toLowerCase()} />}
    </section>
  );
}
