/** Values of secrets and parameters in Systems Manager's parameter store, as `stored_values.py` has them for Python. */

const KEPT_MS = 300_000;
const RETRY_MS = 30_000;
const NAMES_A_CALL = 10; // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html

/**
 * Values that are fetched together, kept for five minutes, and served on where they cannot be fetched anew.
 * `all` returns the properties of everything that is bound; `read` takes names and returns the values by name.
 */
export class StoredValues {
  #values = new Map();
  #until = new Map();
  #fetching;

  constructor(all, read = readParameters, now = () => performance.now()) {
    this.all = all;
    this.read = read;
    this.now = now;
  }

  async value(kind, name, properties) {
    const { parameter_name: own, fallback_name: fallback } = properties;
    if (!(this.now() < this.#until.get(own))) {
      this.#fetching ??= this.#fetch(properties).finally(() => (this.#fetching = undefined));
      try {
        await this.#fetching;
        if (properties.default !== undefined && !(this.now() < this.#until.get(own)))
          this.#until.set(own, this.now() + RETRY_MS);
      } catch (error) {
        if (!this.#values.has(own) && !this.#values.has(fallback)) {
          const why = error instanceof Error ? error.message : error;
          throw new Error(`${kind}.${name} could not be read from the parameter store: ${why}`, { cause: error });
        }
      }
    }
    const value = this.#values.get(own) ?? this.#values.get(fallback);
    if (value !== undefined) return value;
    if (properties.default !== undefined) return properties.default;
    if (!fallback) throw new Error(`${kind}.${name} is not set: there is no ${own} in the parameter store.`);
    const stage = own.split("/").at(-2);
    throw new Error(`${kind}.${name} is not set. Set it: stagedoor secrets set ${name} --stage ${stage}`);
  }

  async #fetch(properties) {
    const wanted = [properties, ...this.all()].map((one) => [one.parameter_name, one.fallback_name]);
    const names = [...new Set(wanted.flat().filter(Boolean))];
    const found = new Map();
    try {
      for (let first = 0; first < names.length; first += NAMES_A_CALL) {
        const some = await this.read(names.slice(first, first + NAMES_A_CALL));
        for (const [name, value] of some) found.set(name, value);
      }
    } catch (error) {
      for (const [own] of wanted) if (this.#until.has(own)) this.#until.set(own, this.now() + RETRY_MS);
      if (this.#values.size) console.warn("Secrets could not be fetched anew; those of before serve on:", error);
      throw error;
    }
    for (const name of names) this.#values.delete(name);
    for (const [name, value] of found) this.#values.set(name, value);
    // One that nobody has set is asked for each time, so that it is there as soon as somebody has.
    for (const [own, fallback] of wanted)
      if (found.has(own) || found.has(fallback)) this.#until.set(own, this.now() + KEPT_MS);
  }
}

let client;

/** Lambda's Node runtimes have the SDK (https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html). */
async function readParameters(names) {
  const { SSMClient, GetParametersCommand } = await import("@aws-sdk/client-ssm");
  client ??= new SSMClient({});
  const { Parameters = [] } = await client.send(new GetParametersCommand({ Names: names, WithDecryption: true }));
  return Parameters.map(({ Name, Value }) => [Name, Value]);
}
