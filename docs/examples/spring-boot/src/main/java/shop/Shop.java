package shop;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.context.config.annotation.RefreshScope;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
public class Shop {
    public static void main(String[] arguments) {
        SpringApplication.run(Shop.class, arguments);
    }

    /** Made anew after a refresh, with the values of then. */
    @RestController
    @RefreshScope
    public static class Limit {
        private final int maxItems;

        public Limit(@Value("${orders.max-items}") int maxItems) {
            this.maxItems = maxItems;
        }

        @GetMapping("/limit")
        public int limit() {
            return maxItems;
        }
    }
}
