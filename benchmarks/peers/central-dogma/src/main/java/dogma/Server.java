package dogma;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import com.linecorp.armeria.common.SessionProtocol;
import com.linecorp.centraldogma.server.CentralDogma;
import com.linecorp.centraldogma.server.CentralDogmaBuilder;
import java.io.File;
import java.net.InetSocketAddress;
import org.slf4j.LoggerFactory;

/** Runs Central Dogma: java dogma.Server PORT DIRECTORY. */
public final class Server {
    public static void main(String[] arguments) {
        ((Logger) LoggerFactory.getLogger(Logger.ROOT_LOGGER_NAME)).setLevel(Level.WARN);
        InetSocketAddress address =
                new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0]));
        CentralDogma server =
                new CentralDogmaBuilder(new File(arguments[1]))
                        .port(address, SessionProtocol.HTTP)
                        .webAppEnabled(false)
                        .build();
        server.start().join();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop().join()));
    }
}
