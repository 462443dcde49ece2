// What the scripts in this folder tell: a line for each thing that a client does here.
export const { URL: HOST, TOKEN, PORT } = process.env;
let failed = 0;

export async function check(name, work, fault = "") {
  try {
    await work();
    console.log(`ok ${name}`);
  } catch (error) {
    if (fault) return console.log(`fault ${name}: ${fault}`);
    failed += 1;
    console.log(`FAIL ${name}: ${String(error?.stack ?? error).slice(0, 1500).replaceAll("\n", "\n      ")}`);
  }
}

export function same(found, expected) {
  const shown = (value) => JSON.stringify(value, (_, one) => (typeof one === "bigint" ? String(one) : one));
  if (shown(found) !== shown(expected)) throw new Error(`${shown(found)} is not ${shown(expected)}`);
}

export async function refused(work, part) {
  try {
    await work();
  } catch (error) {
    const text = [error?.message, error?.type, error?.code, JSON.stringify(error?.response ?? "")].join(" ");
    if (!text.includes(part)) throw new Error(`'${part}' is not in: ${text}`);
    return;
  }
  throw new Error("no error");
}

export const end = () => process.exit(failed ? 1 : 0);
