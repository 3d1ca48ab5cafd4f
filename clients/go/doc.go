// Package hfgateway is the Go client of Higgsfield Gateway. It submits generations of images and videos, watches them
// until they end, and uploads media for their inputs.
//
//	client, err := hfgateway.New("127.0.0.1:50051")
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	image, err := client.Generate(ctx, hfgateway.Soul("a lighthouse at dusk"))
//	if err != nil {
//		return err
//	}
//	fmt.Println(image.Outputs[0].Url)
//
// # Idempotency
//
// Every submission carries an idempotency key: the caller's, or a new UUID. If the response is lost, the client retries
// with the same key, so that the generation is charged once. It never submits again with another key. If a submission
// fails, [Error.IdempotencyKey] has its key. To find out what happened, submit again with that key, or list with the
// key in the filter.
//
// # Contexts
//
// Canceling a context ends the call, watch or sequence that uses it, at the gateway too. It does not cancel the
// generation: call [Client.Cancel] for that. The error then matches context.Canceled or context.DeadlineExceeded with
// [errors.Is].
//
// # Errors
//
// A failed call returns an [*Error]. Match it with errors.Is and the Err variables. There is one for each reason of the
// gateway, and one for each gRPC code, which matches all reasons with that code: an error that matches
// [ErrModelUnknown] matches [ErrNotFound] too. [Client.Generate] returns a [*GenerationError] if the generation ends
// without output, and [Client.TrainCharacter] a [*TrainingError] if the training fails.
//
// # Messages
//
// The message types are aliases of those in the generated package,
// [github.com/hfgateway/hfgateway/generated/go/hfgateway/v1].
package hfgateway
