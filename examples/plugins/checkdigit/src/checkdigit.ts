// What the plugin can do, apart from the program that serves it.
import { setImmediate } from "node:timers/promises";
import { Exact, Fault, type Json, type Plugin, type Schema } from "./testmesh.js";
import { digitsOf, fill, schemes, type Scheme } from "./numbers.js";

/** What is kept for a run: the numbers that it has taken. */
interface Taken {
  numbers: { number: string; note: string }[];
}

const scheme: Schema = { type: "string", enum: Object.keys(schemes), description: "luhn for cards, iban for accounts." };
const pattern: Schema = {
  type: "string",
  description: "The number with ? for each digit that may be chosen: 4111????????????.",
  examples: ["4111????????????"],
};

export const checkdigit: Plugin<Taken> = {
  name: "checkdigit",
  version: "0.1.0",
  summary: "Judges and finds numbers with check digits: cards and IBANs.",
  session: () => ({ numbers: [] }),

  actions: {
    verify: {
      summary: "Judge the check digits of a number.",
      effect: "observe",
      config: object({ scheme, value: { description: "The number, a text or as many digits as it takes." } }, "scheme", "value"),
      result: object({ valid: { type: "boolean" }, value: {}, number: { type: "string" } }, "valid", "value"),
      expectation: "valid",
      run: (config: { scheme: Scheme; value: Json }) => {
        const number = digitsOf(config.value);
        return { valid: schemes[config.scheme](number), value: config.value, number };
      },
    },

    find: {
      summary: "Find the first numbers that fit a pattern and have right check digits.",
      effect: "observe",
      config: object({ scheme, pattern, count: { type: "integer", default: 1 } }, "scheme", "pattern"),
      result: object({ numbers: { type: "array", items: { type: "string" } } }, "numbers"),
      run: async (config: { scheme: Scheme; pattern: string; count?: number | Exact }, call) => {
        const count = Number(config.count ?? 1);
        if (count < 1 || count > 1000) throw refuse("count", "count is from 1 to 1000");
        const numbers: string[] = [];
        for await (const number of candidates(config, call.signal)) {
          if (numbers.push(number) === count) break;
        }
        return { numbers };
      },
    },

    take: {
      summary: "Take a number that fits a pattern, another one each time of a run.",
      effect: "once",
      config: object({ scheme, pattern, note: { type: "string", description: "What it is for." } }, "scheme", "pattern"),
      result: object({ number: { type: "string" } }, "number"),
      run: async (config: { scheme: Scheme; pattern: string; note?: string }, call) => {
        const taken = call.session.numbers;
        for await (const number of candidates(config, call.signal)) {
          if (taken.some((t) => t.number === number)) continue;
          taken.push({ number, note: config.note ?? "" });
          call.log("info", `took number ${taken.length} of this run`);
          return { number };
        }
        throw refuse("pattern", `this run has taken all ${taken.length} numbers of the pattern`);
      },
    },

    taken: {
      summary: "List what the run has taken.",
      effect: "observe",
      config: object({}),
      result: object({ numbers: { type: "array", items: object({ number: { type: "string" }, note: { type: "string" } }) } }, "numbers"),
      run: (_config, call) => ({ numbers: call.session.numbers.map((n) => ({ ...n })) }),
    },
  },

  functions: {
    valid: {
      summary: "Whether the check digits of a number are right.",
      parameters: ["scheme", "number"],
      call: (name: Json, number: Json) => {
        if (!isScheme(name)) throw refuse("scheme", `there is no scheme ${String(name)}; there are ${Object.keys(schemes).join(", ")}`);
        return schemes[name](digitsOf(number ?? null));
      },
    },
  },
};

/** The right numbers of a pattern in order. It lets other calls have their turn. */
async function* candidates(config: { scheme: Scheme; pattern: string }, signal: AbortSignal): AsyncGenerator<string> {
  if (!/^[0-9A-Z?]{2,34}$/.test(config.pattern)) throw refuse("pattern", "pattern is 2 to 34 digits, capital letters and ?");
  let tried = 0;
  for (const number of fill(config.pattern)) {
    if (schemes[config.scheme](number)) yield number;
    if (++tried % 4096 === 0) {
      await setImmediate();
      signal.throwIfAborted();
    }
  }
}

function isScheme(name: Json | undefined): name is Scheme {
  return typeof name === "string" && Object.hasOwn(schemes, name);
}

function refuse(field: string, message: string): Fault {
  return new Fault({ code: "E-CONFIG", message, field, blame: "definition" });
}

function object(properties: Record<string, Schema>, ...required: string[]): Schema {
  return { type: "object", properties, required, additionalProperties: false };
}
