import { greeting } from "./greeting";

type Request = { pathParameters?: { name?: string } };

export const handler = async (event: Request): Promise<string> => greeting(event.pathParameters?.name ?? "you");
