package reference;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.config.server.EnableConfigServer;

/** A Spring Cloud Config server as anybody would make one, to be compared with ours. */
@SpringBootApplication
@EnableConfigServer
public class ReferenceServer {
    public static void main(String[] arguments) {
        SpringApplication.run(ReferenceServer.class, arguments);
    }
}
