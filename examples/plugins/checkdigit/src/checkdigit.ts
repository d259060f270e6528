// What the plugin can do, apart from the program that serves it.
import { Exact, refuse, type Call, type Json, type Plugin, type Schema } from "./testmesh.js";
import { digitsOf, fill, schemes, type Scheme } from "./numbers.js";

/** What is kept for a run: the numbers that it has taken. */
interface Taken {
  numbers: { number: string; note: string }[];
}

const number: Schema = { type: "string", description: "A number without blanks and dashes." };
const note: Schema = { type: "string", description: "What it is for." };
const numbers: Schema = { type: "array", items: { type: "string" }, description: "Numbers, in the order of their digits." };
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
      result: object(
        {
          valid: { type: "boolean", description: "Whether its check digits are right." },
          value: { description: "The value, as it was given." },
          number,
        },
        "valid", "value",
      ),
      expectation: "valid",
      example: step("verify", 'scheme: luhn, value: "4111 1111 1111 1111"'),
      run: (config: { scheme: Scheme; value: Json }) => {
        const number = numberOf(config.value);
        return { valid: schemes[config.scheme](number), value: config.value, number };
      },
    },

    find: {
      summary: "Find the first numbers that fit a pattern and have right check digits.",
      description: "The same numbers each time. A step without assertions passes, also where there is no such number.",
      example: step("find", 'scheme: luhn, pattern: "4111????????????", count: 3', "numbers.len() == 3"),
      effect: "observe",
      config: object({ scheme, pattern, count: { type: "integer", default: 1, description: "How many, at most 1000." } }, "scheme", "pattern"),
      result: object({ numbers }, "numbers"),
      run: async (config: { scheme: Scheme; pattern: string; count?: number | Exact }, call) => {
        const count = Number(config.count ?? 1);
        if (count < 1 || count > 1000) throw refuse("a count is from 1 to 1000", "count");
        const numbers: string[] = [];
        for await (const number of candidates(config, call)) {
          if (numbers.push(number) === count) break;
        }
        return { numbers };
      },
    },

    take: {
      summary: "Take a number that fits a pattern, another one each time of a run.",
      description: "A step without assertions passes once it has a number.",
      example: step("take", 'scheme: iban, pattern: "DE??3704004405320130??", note: the customer', "number startsWith 'DE'"),
      effect: "once",
      config: object({ scheme, pattern, note }, "scheme", "pattern"),
      result: object({ number }, "number"),
      run: async (config: { scheme: Scheme; pattern: string; note?: string }, call) => {
        const taken = call.session.numbers;
        for await (const number of candidates(config, call)) {
          if (taken.some((t) => t.number === number)) continue;
          taken.push({ number, note: config.note ?? "" });
          call.log("info", `took number ${taken.length} of this run`);
          return { number };
        }
        throw refuse("this run has taken all numbers of the pattern", "pattern");
      },
    },

    taken: {
      summary: "List what the run has taken.",
      description: "A step without assertions passes.",
      example: step("taken", "", "numbers == []"),
      effect: "observe",
      config: object({}),
      result: object({ numbers: { type: "array", items: object({ number, note }), description: "In the order they were taken." } }, "numbers"),
      run: (_config, call) => ({ numbers: call.session.numbers.map((n) => ({ ...n })) }),
    },
  },

  functions: {
    valid: {
      summary: "Whether the check digits of a number are right.",
      parameters: ["scheme", "number"],
      call: (name: Json, number: Json) => {
        if (!isScheme(name)) throw refuse(`there is no such scheme; there are ${Object.keys(schemes).join(" and ")}`);
        if (number === undefined) throw refuse("valid takes a scheme and a number");
        return schemes[name](numberOf(number));
      },
    },
  },
};

/** The right numbers of a pattern, in order. */
async function* candidates(config: { scheme: Scheme; pattern: string }, call: Call<Taken>): AsyncGenerator<string> {
  if (!/^[0-9A-Z?]{2,34}$/.test(config.pattern)) throw refuse("a pattern is 2 to 34 digits, capital letters and ?", "pattern");
  let tried = 0;
  for (const number of fill(config.pattern)) {
    if (schemes[config.scheme](number)) yield number;
    if (++tried % 64 === 0) await call.turn();
  }
}

/** The number that a value is: a text, or as many digits as it was written with. */
function numberOf(value: Json): string {
  return typeof value === "string" || typeof value === "number" || value instanceof Exact ? digitsOf(String(value)) : "";
}

function isScheme(name: Json | undefined): name is Scheme {
  return typeof name === "string" && Object.hasOwn(schemes, name);
}

/** A step as people write it. */
function step(action: string, config: string, assertion?: string): string {
  const lines = [`- action: checkdigit.${action}`, `  config: {${config}}`];
  if (assertion) lines.push(`  assert: ["${assertion}"]`);
  return `${lines.join("\n")}\n`;
}

function object(properties: Record<string, Schema>, ...required: string[]): Schema {
  return { type: "object", properties, required, additionalProperties: false };
}
