package client;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.TreeMap;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.core.env.ConfigurableEnvironment;
import org.springframework.core.env.EnumerablePropertySource;
import org.springframework.core.env.PropertySource;

/**
 * A service as anybody would make one. Without arguments it starts the service once for every line
 * that it reads, with the arguments that stand there between tabs, prints the properties that came
 * from the configuration server, and stops it again.
 */
@SpringBootApplication
public class Client {
    public static void main(String[] arguments) {
        if (arguments.length > 0) {
            SpringApplication.run(Client.class, arguments);
        } else {
            new BufferedReader(new InputStreamReader(System.in)).lines().forEach(Client::tryOut);
        }
    }

    private static void tryOut(String line) {
        try (var context = SpringApplication.run(Client.class, line.split("\t"))) {
            print(context.getEnvironment());
            System.out.println("outcome started");
        } catch (RuntimeException error) {
            System.out.println("outcome refused");
        }
    }

    private static void print(ConfigurableEnvironment environment) {
        var found = new TreeMap<String, String>();
        for (PropertySource<?> source : environment.getPropertySources()) {
            if (source.getName().startsWith("configserver:")
                    && source instanceof EnumerablePropertySource<?> listed) {
                for (String key : listed.getPropertyNames()) {
                    found.put(key, environment.getProperty(key));
                }
            }
        }
        found.forEach((key, value) -> System.out.println("effective " + key + "=" + value));
    }
}
