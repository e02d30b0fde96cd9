// What the API answers.

interface Request {
  pathParameters?: Record<string, string>;
}

export const greet = async (request: Request) => ({ hello: request.pathParameters?.name ?? "world" });
