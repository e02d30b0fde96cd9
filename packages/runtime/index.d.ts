/** What the function is bound to; `stagedoor types --typescript` adds to it by declaration merging. */
export interface Resources {}

/** Before `stagedoor types --typescript` was run, anything. */
type Of<Kind extends string> = Kind extends keyof Resources ? Resources[Kind] : Record<string, any>;

/** The code is not bound to what it asks for. */
export declare class NotBound extends Error {}

export declare const Api: Of<"Api">;
export declare const Bucket: Of<"Bucket">;
export declare const EventBus: Of<"EventBus">;
export declare const Function: Of<"Function">;
export declare const Parameter: Of<"Parameter">;
export declare const Queue: Of<"Queue">;
export declare const Secret: Of<"Secret">;
export declare const StaticSite: Of<"StaticSite">;
export declare const Table: Of<"Table">;
export declare const Topic: Of<"Topic">;
