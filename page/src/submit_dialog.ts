/** The dialog that submits: a form from a model's schema, or the input of an earlier generation as it is. */

import {
  ClientClosed,
  type FieldViolation,
  type GatewayClient,
  GatewayError,
  type Generation,
  type GenerationInput,
  type Input,
  type Model,
  ModelLifecycle,
  ModelUnknown,
  model,
} from "@hfgateway/client/browser";
import { pairs, part, setText } from "./dom.js";
import { type Field, fieldFor, objectField } from "./fields.js";
import { parseLabels } from "./filters.js";
import { copyOf, fieldsOf, labelText, price, timeElement } from "./format.js";
import { type JsonObject, parametersOf } from "./schema.js";
import { endIntent, type Intent, isRefusal, newIntent, pendingIntent } from "./submission.js";

const PARAMETERS = "input.model.parameters.";
const UNANSWERED =
  "It is not known whether this was submitted. Submitting it again uses the same key: it is charged once.";
const INTERRUPTED = "The gateway has no generation with the key of this submission, which was interrupted.";
const OTHER_KEY =
  "It was submitted with another API key. If that key belongs to another tenant, look there first: submitting it here " +
  "may be charged again.";

/** What the dialog needs of the page. */
export interface Host {
  client(): GatewayClient;
  /** The id of the API key in use; empty if there is none. */
  keyId(): string;
  /** A generation was submitted, now or earlier. */
  submitted(generation: Generation, warnings: readonly FieldViolation[]): void;
  /** Handles errors that concern the whole page. */
  failed(error: unknown): void;
}

export class SubmitDialog {
  readonly #dialog = part<HTMLDialogElement>("submit");
  readonly #form = part<HTMLFormElement>("submit-form");
  readonly #model = part<HTMLInputElement>("submit-model");
  readonly #labels = part<HTMLInputElement>("submit-labels");
  #fields: Field[] = [];
  /** The model whose fields are shown; "" while they are read. */
  #shown = "";
  /** The values of a form whose fields could not be read. */
  #unread: JsonObject | undefined;
  /** Parameters without a field, which are submitted as they are. */
  #others: JsonObject = {};
  /** The input that is submitted instead of the fields. */
  #input: Input | undefined;
  /** The labels that were shown with an input. Their values may have commas, which the form cannot express. */
  #shownLabels: Readonly<Record<string, string>> = {};
  /** The submission whose outcome is not known. */
  #pending: Intent | undefined = pendingIntent();
  /** What the dialog waits for, as the text of its button. */
  #busy = "";

  constructor(readonly host: Host) {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit();
    });
    this.#model.addEventListener("change", () => void this.#showFields(this.#model.value.trim(), {}));
    part("submit-close").addEventListener("click", () => this.#dialog.close());
    part("submit-edit").addEventListener("click", () => void this.#edit());
    part("submit-check").addEventListener("click", () => void this.#checkPrice());
    this.#draw();
  }

  /** Opens the form as it was left, or the submission whose outcome is not known. */
  openForm(labels: string): void {
    if (!this.#pending && !this.#busy) {
      if (this.#input) {
        this.#clear();
        this.#labels.value = "";
      }
      this.#labels.value ||= labels;
      void this.#listModels();
    }
    this.#open();
  }

  /** Offers to submit the input of a generation once more, as a new submission. */
  openAgain(generation: Generation): void {
    if (!this.#pending && !this.#busy && generation.input) {
      this.#showInput(copyOf(generation.input), generation.labels, generation.modelId);
    }
    this.#open();
  }

  /** Finds out what became of a submission of this tab that a reload interrupted. */
  async resume(): Promise<void> {
    if (!this.#pending || this.#busy || this.#dialog.open) return;
    const { input, labels } = this.#pending;
    this.#showInput(input, labels, modelInput(input)?.modelId ?? "");
    if (!(await this.#isUnknown(this.#pending))) return;
    this.#tell(INTERRUPTED);
    this.#open();
  }

  /** Hides the dialog, which keeps what was entered: nothing else of the page can be used while it is open. */
  close(): void {
    this.#dialog.close();
  }

  /** Forgets everything that was entered. */
  forget(): void {
    this.#settle();
    this.#clear();
    this.#labels.value = "";
    this.#draw();
    this.#dialog.close();
  }

  #open(): void {
    this.#draw();
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  /** Shows what can be done now. The input cannot be changed while its outcome is not known. */
  #draw(): void {
    const pending = this.#pending !== undefined;
    const locked = pending || this.#busy !== "";
    part<HTMLFieldSetElement>("submit-fields").disabled = locked;
    part<HTMLButtonElement>("submit-check").disabled = locked;
    const submit = part<HTMLButtonElement>("submit-go");
    submit.disabled = this.#busy !== "";
    setText(submit, this.#busy || (pending ? "Submit again" : "Submit"));
    const edit = part<HTMLButtonElement>("submit-edit");
    edit.hidden = !pending && !modelInput(this.#input);
    edit.disabled = this.#busy !== "";
    setText(edit, this.#input && !modelInput(this.#input) ? "Discard" : "Edit");
    setText(part("submit-title"), this.#input ? "Run again" : "New generation");
    part("submit-model-field").hidden = this.#input !== undefined;
    this.#model.disabled = this.#input !== undefined;
    setText(part("submit-warning"), this.#pending && this.#ofOtherKey(this.#pending) ? OTHER_KEY : "");
    setText(part("new-label"), pending ? "Submission with unknown outcome" : "New generation");
  }

  async #submit(): Promise<void> {
    if (this.#busy) return;
    this.#tell("");
    this.#pending ??= this.#intend();
    const intent = this.#pending;
    if (!intent) return;
    await this.#during("Submitting…", async () => {
      try {
        const options = { idempotencyKey: intent.key, labels: intent.labels };
        const { generation, warnings } = await this.host.client().submit(intent.input, options);
        this.#finish(generation, warnings);
      } catch (error) {
        if (isRefusal(error) && !this.#ofOtherKey(intent)) this.#settle();
        this.#fail(error, this.#pending ? UNANSWERED : "");
      }
    });
  }

  /** Returns whether a submission was made with another API key, whose outcome the one in use cannot prove. */
  #ofOtherKey(intent: Intent): boolean {
    return intent.keyId !== this.host.keyId();
  }

  /** Makes a submission of what the dialog shows; undefined if a field is wrong. */
  #intend(): Intent | undefined {
    const given = this.#read();
    return given && newIntent(given.input, given.labels, this.host.keyId());
  }

  #read(): { input: Input; labels: Readonly<Record<string, string>> } | undefined {
    const id = this.#model.value.trim();
    if (!this.#input && this.#shown !== id) {
      if (this.#unread) void this.#showFields(id, this.#unread);
      return undefined;
    }
    if (!this.#form.reportValidity()) return undefined;
    try {
      const shown = this.#labels.value === labelText(this.#shownLabels);
      const labels = shown ? this.#shownLabels : parseLabels(this.#labels.value);
      return { input: this.#input ?? this.#fromFields(), labels };
    } catch (error) {
      this.#tell((error as Error).message);
      return undefined;
    }
  }

  #fromFields(): Input {
    const parameters = { ...this.#others };
    for (const field of this.#fields) {
      const value = field.read();
      if (value !== undefined) Object.assign(parameters, field.whole ? value : { [field.name]: value });
    }
    return model(this.#shown, parameters, { apiVersion: this.#shown.startsWith("v1/") ? "v1" : "v2" });
  }

  async #checkPrice(): Promise<void> {
    if (this.#busy) return;
    this.#tell("");
    const given = this.#read();
    if (!given) return;
    await this.#during("Asking for the price…", async () => {
      try {
        const { cost, description, warnings } = await this.host.client().estimate(given.input);
        const known = price(cost) || description;
        part("submit-price").textContent = known ? `Estimated price: ${known}` : "Higgsfield gives no price for this.";
        this.#complain(warnings);
      } catch (error) {
        this.#fail(error, "");
      }
    });
  }

  /** Allows to change the input, unless it turns out to be submitted already. */
  async #edit(): Promise<void> {
    if (this.#pending && !(await this.#isUnknown(this.#pending))) return;
    this.#settle();
    this.#tell("");
    const given = modelInput(this.#input);
    if (given) {
      this.#clear();
      this.#model.value = given.modelId ?? "";
      await this.#showFields(this.#model.value, given.parameters ?? {});
    } else if (this.#input) this.#dialog.close();
    this.#draw();
  }

  /** Returns whether the gateway has no generation with the key. If it has one, the submission has succeeded. */
  async #isUnknown(intent: Intent): Promise<boolean> {
    let unknown = false;
    await this.#during("Looking it up…", async () => {
      try {
        const matching = this.host.client().list({ idempotencyKey: intent.key, includeInput: true });
        const { value } = await matching.next();
        if (value) this.#finish(value, []);
        else unknown = true;
      } catch (error) {
        this.#fail(error, this.#pending ? UNANSWERED : "");
      }
    });
    return unknown;
  }

  #finish(generation: Generation, warnings: readonly FieldViolation[]): void {
    this.#settle();
    this.#tell("");
    this.#dialog.close();
    this.host.submitted(generation, warnings);
  }

  #settle(): void {
    this.#pending = undefined;
    endIntent();
  }

  async #during(busy: string, work: () => Promise<void>): Promise<void> {
    this.#busy = busy;
    this.#draw();
    try {
      await work();
    } finally {
      this.#busy = "";
      this.#draw();
      this.#form.querySelector<HTMLElement>("[aria-invalid]")?.focus();
    }
  }

  /** Begins an empty form. */
  #clear(): void {
    this.#input = undefined;
    this.#shown = "";
    this.#unread = undefined;
    this.#fields = [];
    this.#model.value = "";
    part("submit-inputs").replaceChildren();
    part("submit-note").replaceChildren();
    this.#tell("");
  }

  /** Shows an input that is submitted as it is. */
  #showInput(input: Input, labels: Readonly<Record<string, string>>, modelId: string): void {
    this.#clear();
    this.#input = input;
    this.#shownLabels = labels;
    this.#labels.value = labelText(labels);
    const shown = fieldsOf(input as GenerationInput);
    part("submit-inputs").replaceChildren(pairs(modelId ? [["model", modelId], ...shown] : shown));
  }

  async #showFields(id: string, initial: JsonObject): Promise<void> {
    this.#shown = "";
    this.#unread = undefined;
    this.#fields = [];
    part("submit-note").replaceChildren(id ? "Reading the parameters…" : "");
    part("submit-inputs").replaceChildren();
    if (!id) return;
    try {
      const known = await this.#readModel(id);
      if (this.#model.value.trim() !== id) return;
      const parameters = known?.parametersSchema ? parametersOf(known.parametersSchema) : [];
      this.#others = parameters.length > 0 ? { ...initial } : {};
      for (const { name } of parameters) delete this.#others[name];
      this.#fields = parameters.map((parameter) => fieldFor(parameter, initial[parameter.name]));
      if (parameters.length === 0) this.#fields = [objectField("parameters", initial)];
      part("submit-note").replaceChildren(...noteOf(known));
      part("submit-inputs").replaceChildren(...this.#fields.map((field) => field.element));
      this.#shown = id;
    } catch (error) {
      if (this.#model.value.trim() !== id) return;
      this.#unread = initial;
      part("submit-note").replaceChildren();
      this.#fail(error, "");
    }
  }

  async #readModel(id: string): Promise<Model | undefined> {
    try {
      return await this.host.client().getModel(id);
    } catch (error) {
      if (error instanceof ModelUnknown) return undefined;
      throw error;
    }
  }

  async #listModels(): Promise<void> {
    const list = part("submit-models");
    if (list.childElementCount > 0) return;
    try {
      const options: HTMLOptionElement[] = [];
      for await (const { id, tasks } of this.host.client().listModels()) options.push(new Option(tasks.join(", "), id));
      list.replaceChildren(...options);
    } catch (error) {
      this.#fail(error, "");
    }
  }

  #fail(error: unknown, outcome: string): void {
    this.host.failed(error);
    if (!(error instanceof GatewayError)) throw error;
    // If the page has connected again, the error says nothing.
    this.#tell(error instanceof ClientClosed ? outcome : `${error.message.replace(/\.?$/, ".")} ${outcome}`);
    this.#complain(error.fieldViolations);
  }

  /** Shows each violation at its field, or else above the buttons. */
  #complain(violations: readonly FieldViolation[]): void {
    const elsewhere: string[] = [];
    for (const { field: path, description } of violations) {
      const inside = path.startsWith(PARAMETERS) ? path.slice(PARAMETERS.length) : "";
      const field = this.#fields.find(({ name }) => name === inside.split(/[.[]/)[0]);
      const place = inside.slice(field?.name.length);
      if (field) field.complain(place ? `${place}: ${description}` : description);
      else elsewhere.push(`${path}: ${description}`);
    }
    if (elsewhere.length > 0) part("submit-problem").append(` ${elsewhere.join("; ")}`);
  }

  /** Shows what is wrong, and removes what was shown before. */
  #tell(problem: string): void {
    part("submit-problem").textContent = problem;
    part("submit-price").textContent = "";
    for (const field of this.#fields) field.complain("");
  }
}

function modelInput(input: Input | undefined) {
  return input?.kind?.case === "model" ? input.kind.value : undefined;
}

function noteOf(known: Model | undefined): (Node | string)[] {
  if (!known) return ["This model is not in the gateway's list. It may work nevertheless."];
  const note: (Node | string)[] = [known.tasks.join(", ")];
  if (known.lifecycle === ModelLifecycle.GONE) note.push(" · probably gone");
  if (known.endTime) note.push(" · ends ", timeElement(known.endTime));
  if (known.note) note.push(` · ${known.note}`);
  return note;
}
