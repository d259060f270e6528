// Labels as a person types them: "env=staging zone=eu-1", one or several a line.

export function parsePins(text: string): { pins: Record<string, string>; problem: string } {
  const pins: Record<string, string> = {};
  for (const part of text.split(/[\s,]+/).filter(Boolean)) {
    const [, name, value] = /^([A-Za-z0-9][A-Za-z0-9_.-]*)=(\S+)$/.exec(part) ?? [];
    if (name === undefined || value === undefined) return { pins, problem: `“${part}” is no label: write name=value.` };
    if (name in pins) return { pins, problem: `The label ${name} is there twice.` };
    pins[name] = value;
  }
  return { pins, problem: "" };
}
