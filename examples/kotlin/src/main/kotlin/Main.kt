/** Submits a generation, and watches it to the end. */
package example

import com.google.rpc.ErrorInfo
import io.github.hfgateway.v1.Generation
import io.github.hfgateway.v1.GenerationInput
import io.github.hfgateway.v1.GenerationServiceGrpcKt.GenerationServiceCoroutineStub
import io.github.hfgateway.v1.SoulInput
import io.github.hfgateway.v1.SubmitGenerationRequest
import io.github.hfgateway.v1.WatchGenerationRequest
import io.grpc.ManagedChannelBuilder
import io.grpc.Metadata
import io.grpc.Status
import io.grpc.StatusException
import io.grpc.protobuf.StatusProto
import io.grpc.stub.MetadataUtils
import java.util.UUID
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.delay
import kotlinx.coroutines.runBlocking

/** Returns the gateway's reason, or null for an error of gRPC or of a proxy. */
private fun reasonOf(error: StatusException): String? =
    StatusProto.fromThrowable(error)?.detailsList.orEmpty()
        .filter { it.`is`(ErrorInfo::class.java) }
        .map { it.unpack(ErrorInfo::class.java) }
        .firstOrNull { it.domain == "hfgateway" }?.reason

private fun mayRepeat(error: StatusException): Boolean = when (error.status.code) {
    Status.Code.UNAVAILABLE, Status.Code.DEADLINE_EXCEEDED -> true
    // Without a reason, they are the errors of a stream that was cut off, or of a server that is stopping.
    Status.Code.INTERNAL, Status.Code.UNKNOWN, Status.Code.CANCELLED -> reasonOf(error) == null
    else -> reasonOf(error) in setOf("GATEWAY_OVERLOADED", "SUBMISSION_UNRESOLVED")
}

/** Repeats a call that has no second effect until it gets a response. */
private suspend fun <T> retried(call: suspend () -> T): T {
    while (true) {
        try {
            return call()
        } catch (e: StatusException) {
            if (!mayRepeat(e)) throw e
            delay(500)
        }
    }
}

fun main() = runBlocking {
    val address = System.getenv("HFGATEWAY_ADDRESS") ?: "127.0.0.1:50051"
    val builder = ManagedChannelBuilder.forTarget(address).keepAliveTime(11, TimeUnit.SECONDS)
    // TLS, unless the gateway is on the same machine.
    if (address.startsWith("127.0.0.1:") || address.startsWith("localhost:")) builder.usePlaintext()
    val channel = builder.build()
    val headers = Metadata()
    System.getenv("HFGATEWAY_API_KEY")?.takeIf { it.isNotEmpty() }?.let { key ->
        headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer $key")
    }
    val gateway = GenerationServiceCoroutineStub(channel).withInterceptors(
        MetadataUtils.newAttachHeadersInterceptor(headers)
    )

    // One key for one generation: however often the call is repeated, it is charged once.
    val key = UUID.randomUUID().toString()
    println("idempotency key $key") // to find the generation again, whatever happens
    val submit = SubmitGenerationRequest.newBuilder()
        .setIdempotencyKey(key)
        .setInput(GenerationInput.newBuilder().setSoul(SoulInput.newBuilder().setPrompt("a lighthouse at dusk")))
        .build()
    var generation: Generation = retried {
        gateway.withDeadlineAfter(30, TimeUnit.SECONDS).submitGeneration(submit).generation
    }
    println(generation.state)

    // Every change after the last revision, exactly once, also over a lost connection.
    while (!generation.done) {
        retried {
            val watch = WatchGenerationRequest.newBuilder().setId(generation.id).setAfterRevision(generation.revision)
            gateway.watchGeneration(watch.build()).collect { event ->
                if (event.hasGeneration()) {
                    generation = event.generation
                    println(generation.state)
                }
            }
        }
    }
    generation.outputsList.forEach { println(it.url) }
    channel.shutdown().awaitTermination(5, TimeUnit.SECONDS)
    Unit
}
