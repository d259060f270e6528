import { Link } from "@tanstack/react-router";
import { Ago } from "../../components/clock";
import { Fact, Facts } from "../../components/facts";
import { Sparkline } from "../../components/sparkline";
import { StatusMark } from "../../components/status-mark";
import type { GetFlowResponse } from "../../gen/testmesh/api/v1/api_pb";
import type { Target } from "../../gen/testmesh/api/v1/record_pb";
import { duration, millis, plural } from "../../lib/format";
import { markOf, runWord } from "../../lib/status";
import { lately, useLately } from "./use-lately";

// FlowFacts are how a flow does, and what it asks for.
export function FlowFacts({ answer }: { answer: GetFlowResponse }) {
  const { flow } = answer;
  const { list, last, passed, judged, rate, p50 } = useLately(flow?.name ?? "", true);
  return (
    <Facts label="How it does" className="mx-3 my-2">
      <Fact name="Last run">
        {last === undefined ? (
          "none yet"
        ) : (
          <Link to="/runs/$id" params={{ id: last.id }} className="inline-flex items-center gap-1.5 hover:underline">
            <StatusMark mark={markOf(runWord[last.status])} word={runWord[last.status]} />
            <span className="text-text-2">
              <Ago at={millis(last.finished)} />
            </span>
          </Link>
        )}
      </Fact>
      <Fact name={`Newest ${lately}`}>
        {list.length === 0 ? (
          "none yet"
        ) : (
          <span className="inline-block">
            <Sparkline list={list} most={lately} />
          </span>
        )}
      </Fact>
      <Fact name="Passed">
        {judged === 0 ? (
          "none judged"
        ) : (
          <>
            {rate}{" "}
            <span className="text-text-2">
              {passed} of {judged}
            </span>
          </>
        )}
      </Fact>
      <Fact name="Median time">{judged === 0 ? "none" : duration(p50)}</Fact>
      <Fact name="Revision">
        {flow === undefined || flow.revision === 0n ? (
          "none"
        ) : (
          <>
            {String(flow.revision)}{" "}
            <span className="text-text-2">
              <Ago at={millis(flow.updated)} />
            </span>
          </>
        )}
      </Fact>
      <Fact name="Asks for">{asks(answer)}</Fact>
    </Facts>
  );
}

function asks(answer: GetFlowResponse): string {
  const parts = [
    answer.inputs.length > 0 && plural(answer.inputs.length, "input"),
    answer.rows > 0 && plural(answer.rows, "row"),
    ...labels(answer.target),
    answer.plugins.length > 0 && answer.plugins.join(", "),
  ].filter((part) => typeof part === "string");
  return parts.length === 0 ? "nothing" : parts.join(" · ");
}

function labels(target: Target | undefined): string[] {
  const list = (map: Target["match"], sign: string) => Object.entries(map).map(([name, { values }]) => `${name}${sign}${values.join(",")}`);
  return target === undefined ? [] : [...list(target.match, "="), ...list(target.not, "!=")];
}
