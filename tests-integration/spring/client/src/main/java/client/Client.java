package client;

import java.util.TreeMap;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.core.env.ConfigurableEnvironment;
import org.springframework.core.env.EnumerablePropertySource;
import org.springframework.core.env.PropertySource;

/** A service that prints the properties it got from the configuration server, and ends. */
@SpringBootApplication
public class Client {
    public static void main(String[] arguments) {
        var context = SpringApplication.run(Client.class, arguments);
        ConfigurableEnvironment environment = context.getEnvironment();
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
        context.close();
    }
}
