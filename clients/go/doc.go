// Package hfgateway is the Go client of Higgsfield Gateway. It submits generations of images and videos, watches them
// until they end, and uploads media for their inputs.
//
//	client := hfgateway.Must(hfgateway.New("127.0.0.1:50051"))
//	image, err := client.Generate(ctx, hfgateway.Soul("a lighthouse at dusk"), nil)
//
// Every submission carries an idempotency key: the caller's, or a new UUID. If the response is lost, the client retries
// with the same key, so that the generation is charged once, and never with another one. If a submission fails,
// [Error.IdempotencyKey] has its key. To find out what happened, submit again with that key.
//
// Canceling a context ends the call, watch or sequence that uses it, at the gateway too. It does not cancel the
// generation: call [Client.Cancel] for that. The error then matches context.Canceled or context.DeadlineExceeded.
//
// A failed call returns an [*Error]. Match it with [errors.Is] and the Err variables: one for each reason of the gateway,
// and one for each gRPC code, which matches all reasons with that code. [Client.Generate] returns a [*GenerationError] if
// the generation ends without output, and [Client.TrainCharacter] a [*TrainingError] if the training fails.
package hfgateway
