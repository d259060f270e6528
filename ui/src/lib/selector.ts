// Which agents may take a run, as a person types it: "zone=eu-1,eu-2 env=staging trust!=low".
// Words of a name are one or the other; the names must all fit.

export interface Selector {
  match: Record<string, string[]>;
  not: Record<string, string[]>;
}

const word = /^(?:fact\/)?[A-Za-z0-9][A-Za-z0-9_.-]*$/;

export function parseSelector(text: string): { selector: Selector; problem: string } {
  const selector: Selector = { match: {}, not: {} };
  const bad = (problem: string) => ({ selector, problem });
  for (const part of text.trim().split(/\s+/).filter(Boolean)) {
    const at = part.indexOf("=");
    if (at < 0) return bad(`“${part}” is no label: write name=value, as zone=eu-1.`);
    const excluded = part[at - 1] === "!";
    const name = part.slice(0, excluded ? at - 1 : at);
    if (!word.test(name)) return bad(name === "" ? `“${part}” has no name before the sign.` : `“${name}” is no name of a label.`);
    const values = part.slice(at + 1).split(",");
    if (values.some((value) => value === "")) return bad(`“${part}” lacks a value.`);
    const star = values.find((value) => value.slice(0, -1).includes("*"));
    if (star !== undefined) return bad(`“${star}”: a star stands at the end of a value, as eu-*.`);
    const into = excluded ? selector.not : selector.match;
    into[name] = [...(into[name] ?? []), ...values];
  }
  return { selector, problem: "" };
}

export function isEmpty(selector: Selector): boolean {
  return Object.keys(selector.match).length === 0 && Object.keys(selector.not).length === 0;
}
