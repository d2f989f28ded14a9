"""The only page: what the shop allows at the moment."""

from django.http import HttpRequest, JsonResponse
from django.urls import path

from django_shop.configuration import live_orders


def limit(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"max-items": live_orders.value.max_items})


urlpatterns = [path("limit", limit)]
