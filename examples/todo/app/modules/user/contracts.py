"""Published user events. Fields may be added but never removed; the schemas are in `docs/contracts/events`."""

from app.messaging.contracts import Topic, contract
from app.modules.user.events import UserDeleted, UserRegistered

USERS = Topic("users")

contract(UserRegistered, "user.registered.v1", USERS, key="user_id")
contract(UserDeleted, "user.deleted.v1", USERS, key="user_id")
